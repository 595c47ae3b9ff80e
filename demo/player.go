package demo

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Player plays what people do in a registration system, against the reference schema with the sample data. It knows
// nothing of the relay. It is not safe for concurrent use.
type Player struct {
	pool *pgxpool.Pool
	// say narrates a step; accepting is told of each acceptance before its COMMIT is sent.
	say       func(line string)
	accepting func(attendee int64, at time.Time)

	cast      int // how many people have appeared
	step      int
	pending   person
	accepted  person
	cancelled person
}

// person is one registration that later steps come back to.
type person struct {
	id   int64
	name string
}

// NewPlayer returns a player. say and accepting are called from Step, in its goroutine.
func NewPlayer(pool *pgxpool.Pool, say func(string), accepting func(attendee int64, at time.Time)) *Player {
	return &Player{pool: pool, say: say, accepting: accepting}
}

// steps is one round of the play; later steps use the people of the earlier ones.
var steps = []func(*Player, context.Context) error{
	(*Player).free,
	(*Player).registerPaid,
	(*Player).pay,
	(*Player).together,
	(*Player).editEmail,
	(*Player).rollBack,
	(*Player).cancel,
	(*Player).fillForm,
	(*Player).acceptAgain,
}

// Step plays the next step of the round.
func (p *Player) Step(ctx context.Context) error {
	play := steps[p.step%len(steps)]
	p.step++
	if err := play(p, ctx); err != nil {
		return fmt.Errorf("playing a registration: %w", err)
	}
	return nil
}

// transact runs do in a transaction. announced are the attendees that it accepts.
func (p *Player) transact(ctx context.Context, do func(pgx.Tx) (announced []int64, err error)) error {
	tx, err := p.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	announced, err := do(tx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, id := range announced {
		p.accepting(id, time.Now())
	}
	// From here on the step is done whole: an acceptance that was noted must be committed too.
	return tx.Commit(context.WithoutCancel(ctx))
}

// setStatus changes a registration; accepts says whether that accepts the person.
func (p *Player) setStatus(ctx context.Context, who person, status string, accepts bool) error {
	return p.transact(ctx, func(tx pgx.Tx) ([]int64, error) {
		const update = `update attendees set status = $2, updated_at = now() where id = $1`
		tag, err := tx.Exec(ctx, update, who.id, status)
		switch {
		case err != nil:
			return nil, err
		case tag.RowsAffected() != 1:
			return nil, fmt.Errorf("the attendee %d is gone", who.id)
		case accepts:
			return []int64{who.id}, nil
		}
		return nil, nil
	})
}

// registration is a row of attendees with its form values.
type registration struct {
	event, group, fee, parent int64 // 0: none
	status                    string
	answers                   map[int64]string // by form field
}

// register inserts the next person of the cast.
func (p *Player) register(ctx context.Context, tx pgx.Tx, r registration) (person, error) {
	name, surname := p.next()
	email := fmt.Sprintf("guest%d@example.org", p.cast)
	who := person{name: name + " " + surname}
	const insert = `insert into attendees (event_id, group_id, fee_id, parent_id, name, surname, email, status)
		values ($1, nullif($2, 0), nullif($3, 0), nullif($4, 0), $5, $6, $7, $8) returning id`
	err := tx.QueryRow(ctx, insert, r.event, r.group, r.fee, r.parent, name, surname, email, r.status).Scan(&who.id)
	if err != nil {
		return person{}, err
	}
	const answer = `insert into form_values (attendee_id, form_field_id, value) values ($1, $2, $3)`
	for field, value := range r.answers {
		if _, err := tx.Exec(ctx, answer, who.id, field, value); err != nil {
			return person{}, err
		}
	}
	return who, nil
}

// next returns the name of the next person: the lists have different lengths, so that names repeat late.
func (p *Player) next() (name, surname string) {
	name, surname = names[p.cast%len(names)], surnames[p.cast%len(surnames)]
	p.cast++
	return name, surname
}

var names = []string{
	"Jürgen", "Ada", "Renée", "Señora", "Mehmet", "Łukasz", "Chloë", "Ole \"Olli\"", "明", "Anne-Marie", "Đorđe",
	"Kim 🙂", "Αθηνά",
}

var surnames = []string{
	"O'Neil", "Lovelace", "Großmann", "Ñuñez", "Yılmaz", "Żółkiewski", "van den Berg", "Müller & Söhne", "李", "Smith",
	"<b>Bold</b>",
}

// key is an attendee's id as the stopwatch and the webhook's body spell it.
func key(attendee int64) string { return strconv.FormatInt(attendee, 10) }
