package demo

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

const (
	pending   = "Pending"
	accepted  = "Accepted"
	cancelled = "Cancelled"
)

// free registers somebody for an event without a fee: accepted by the insert.
func (p *Player) free(ctx context.Context) error {
	return p.transact(ctx, func(tx pgx.Tx) ([]int64, error) {
		who, err := p.register(ctx, tx, registration{
			event: 1, status: accepted, answers: map[int64]string{1: "Der Zauberberg", 2: "on"},
		})
		if err != nil {
			return nil, err
		}
		p.accepted = who
		p.say(who.name + " registers, free of charge: accepted at once")
		return []int64{who.id}, nil
	})
}

// registerPaid registers somebody who still has to pay.
func (p *Player) registerPaid(ctx context.Context) error {
	return p.transact(ctx, func(tx pgx.Tx) ([]int64, error) {
		who, err := p.register(ctx, tx, registration{
			event: 3, group: 3, fee: 3, status: pending, answers: map[int64]string{9: `TSV "Blau-Weiß"`, 10: "XL"},
		})
		if err != nil {
			return nil, err
		}
		p.pending = who
		p.say(who.name + " registers and has to pay: pending, nothing is sent")
		return nil, nil
	})
}

// pay accepts the person who registered before.
func (p *Player) pay(ctx context.Context) error {
	p.say(p.pending.name + " pays: accepted")
	return p.setStatus(ctx, p.pending, accepted, true)
}

// together registers somebody with two more people in one transaction; they are listed in one webhook.
func (p *Player) together(ctx context.Context) error {
	return p.transact(ctx, func(tx pgx.Tx) ([]int64, error) {
		who, err := p.register(ctx, tx, registration{event: 2, group: 2, fee: 1, status: accepted})
		if err != nil {
			return nil, err
		}
		for range 2 {
			also := registration{event: 2, group: 2, fee: 1, parent: who.id, status: accepted}
			if _, err := p.register(ctx, tx, also); err != nil {
				return nil, err
			}
		}
		p.say(who.name + " registers with two more people: one webhook lists all three")
		return []int64{who.id}, nil
	})
}

// editEmail changes another column of an accepted row.
func (p *Player) editEmail(ctx context.Context) error {
	p.say(p.accepted.name + " has a new e-mail address: nothing is sent")
	return p.transact(ctx, func(tx pgx.Tx) ([]int64, error) {
		const update = `update attendees set email = 'new.' || email, updated_at = now() where id = $1`
		_, err := tx.Exec(ctx, update, p.accepted.id)
		return nil, err
	})
}

var errRolledBack = errors.New("rolled back")

// rollBack registers somebody in a transaction that does not commit.
func (p *Player) rollBack(ctx context.Context) error {
	err := p.transact(ctx, func(tx pgx.Tx) ([]int64, error) {
		who, err := p.register(ctx, tx, registration{event: 1, status: accepted})
		if err != nil {
			return nil, err
		}
		p.say(who.name + " registers, but the transaction is rolled back: nothing is sent")
		return nil, errRolledBack
	})
	if errors.Is(err, errRolledBack) {
		return nil
	}
	return err
}

// cancel takes back the acceptance of the person who registered free of charge.
func (p *Player) cancel(ctx context.Context) error {
	p.say(p.accepted.name + " cancels: nothing is sent")
	p.cancelled = p.accepted
	return p.setStatus(ctx, p.cancelled, cancelled, false)
}

// fillForm registers somebody for the event whose form has fields of every type; one field stays unanswered and one box
// unticked.
func (p *Player) fillForm(ctx context.Context) error {
	return p.transact(ctx, func(tx pgx.Tx) ([]int64, error) {
		who, err := p.register(ctx, tx, registration{
			event: 2, group: 1, fee: 2, status: accepted, answers: map[int64]string{
				3: "+49 351 123 456", 4: "Ducks \U0001F986,\n\"rubber\" ones", 6: "L", 7: "true", 8: "false",
			},
		})
		if err != nil {
			return nil, err
		}
		p.say(who.name + " fills a form with fields of every type")
		return []int64{who.id}, nil
	})
}

// acceptAgain accepts the person who cancelled: a second acceptance of the same row.
func (p *Player) acceptAgain(ctx context.Context) error {
	p.say(p.cancelled.name + " is accepted again after the cancellation: a second webhook")
	return p.setStatus(ctx, p.cancelled, accepted, true)
}
