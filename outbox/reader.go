package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

var (
	//go:embed sql/snapshot.sql
	snapshotSQL string
	//go:embed sql/payload_settings.sql
	payloadSettingsSQL string
)

// genericKeys is how many keys a plan made once serves well: for an array that it does not know, Postgres plans with
// ten elements (estimate_array_length, PostgreSQL 14-18), and joins hundreds of rows in nested loops. Few keys are
// spared the planning, which costs more than they do.
const genericKeys = 10

const genericPlan = "force_generic_plan"

// reader runs the payload query, each time in a fresh read-only snapshot on a connection of its own. It is used by one
// goroutine at a time; those that share it take turns.
type reader struct {
	turn  chan struct{}
	url   secret.String
	name  string
	query *query
	conn  *pgx.Conn
}

// connect makes sure that there is a connection.
func (r *reader) connect(ctx context.Context) error {
	// A connection that was left inside a transaction would answer from an old snapshot, or not at all.
	if r.conn != nil && !r.conn.IsClosed() && r.conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	r.close(ctx)
	conn, err := postgres.DirectForQuery(ctx, r.url, r.name)
	if err != nil {
		return fmt.Errorf("connecting for the payload query: %w", err)
	}
	conn.PgConn().Frontend().SetMaxBodyLen(maxRow)
	r.conn = conn
	return nil
}

func (r *reader) close(ctx context.Context) {
	if r.conn != nil {
		_ = r.conn.Close(ctx)
	}
}

// in takes one read-only snapshot, sends the questions that ask queues in the same round trip, and calls read inside
// it. ask may be nil. Texts are in the database's encoding.
func (r *reader) in(ctx context.Context, ask func(*pgx.Batch), read func(snapshot) error) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	var text string
	batch := &pgx.Batch{}
	batch.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	if converts(r.conn) {
		batch.Queue(ownEncodingSQL)
	}
	batch.Queue(snapshotSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&text, nil, nil, nil) })
	if ask != nil {
		ask(batch)
	}
	defer rollBack(ctx, r.conn)
	if err := r.conn.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("taking a snapshot and reading the bookkeeping in it: %w", err)
	}
	taken, err := parseSnapshot(text)
	if err != nil {
		return err
	}
	return read(taken)
}

// applicationWrites returns how many rows the application has written so far.
func (r *reader) applicationWrites(ctx context.Context) (rows int64, err error) {
	if err := r.connect(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return rows, r.conn.QueryRow(ctx, applicationWritesSQL).Scan(&rows)
}

// ownPayloads is payloads for keys in the database's encoding.
func (r *reader) ownPayloads(
	ctx context.Context, keys []string, timeout time.Duration, defaultURL string, maxBody int,
) (rows map[string][]payload, held int, err error) {
	if !converts(r.conn) {
		return r.payloads(ctx, keys, timeout, defaultURL, maxBody)
	}
	byUTF8, lost, err := utf8Keys(ctx, r.conn, keys)
	if err != nil {
		return nil, 0, err
	}
	found, held, err := r.payloads(ctx, slices.Collect(maps.Keys(byUTF8)), timeout, defaultURL, maxBody)
	if err != nil {
		return nil, 0, err
	}
	rows = make(map[string][]payload, len(found))
	for key, list := range found {
		rows[byUTF8[key]] = list
	}
	for _, key := range lost {
		rows[key] = []payload{{err: errKeyNotUTF8}}
	}
	return rows, held, nil
}

// payloads runs the payload query for keys, which are UTF-8, for timeout at most, in the snapshot that is open and
// returns the rows by key. It is the last question in that snapshot, which ends with it. Two rows of a key for the same
// delivery_key and URL are an error for that key. Bodies above maxBody are left out. held is what the rows take, in
// bytes.
func (r *reader) payloads(ctx context.Context, keys []string, timeout time.Duration, defaultURL string, maxBody int,
) (byKey map[string][]payload, held int, err error) {
	if len(keys) == 0 {
		return nil, 0, nil
	}
	if err := r.speakUTF8(ctx); err != nil {
		return nil, 0, err
	}
	defaultURL = r.storable(defaultURL)
	found, err := r.runPrepared(ctx, keys, timeout, boundsFor(len(keys), maxBody))
	if err != nil {
		return nil, 0, err
	}
	screen := newScreen(defaultURL)
	byKey = make(map[string][]payload, len(keys))
	for _, p := range found.rows {
		screen.pass(&p)
		byKey[p.key] = append(byKey[p.key], p)
	}
	return byKey, found.held, nil
}

// speakUTF8 has the rest of the open transaction speak UTF-8, as the body is, where the database's encoding is another.
func (r *reader) speakUTF8(ctx context.Context) error {
	if !converts(r.conn) {
		return nil
	}
	if _, err := r.conn.Exec(ctx, utf8SQL); err != nil {
		return fmt.Errorf("preparing to run the payload query: %w", err)
	}
	return nil
}

// storable is a URL as the database can hold it.
func (r *reader) storable(url string) string {
	if !converts(r.conn) {
		return url
	}
	return storableURL(encodingOf(r.conn), url)
}

// runPrepared runs the query, preparing it again when the server no longer has it or its plan (a table it uses was
// altered). The transaction is lost then, so the caller's next try is the one that succeeds.
func (r *reader) runPrepared(ctx context.Context, keys []string, timeout time.Duration, within bounds,
) (*answer, error) {
	if err := r.describe(ctx); err != nil {
		return nil, err
	}
	plan := genericPlan
	if len(keys) > genericKeys {
		plan = "force_custom_plan"
	}
	settings := [][]byte{strconv.AppendInt(nil, timeout.Milliseconds(), 10), []byte(plan)}
	found, err := r.query.run(ctx, r.conn, settings, keys, within)
	switch postgres.Code(err) {
	case "0A000", "26000":
		r.forget(ctx)
	}
	return found, err
}

// describe prepares the query once a connection.
func (r *reader) describe(ctx context.Context) error {
	prepared := r.conn.PgConn().CustomData()
	if prepared[statementName] != nil {
		return nil
	}
	if err := r.query.describe(ctx, r.conn); err != nil {
		return err
	}
	prepared[statementName] = true
	return nil
}

func (r *reader) forget(ctx context.Context) {
	delete(r.conn.PgConn().CustomData(), statementName)
	rollBack(ctx, r.conn)
	_ = r.conn.PgConn().Deallocate(ctx, statementName)
}

// check returns, as a fault, why the query cannot be run for any key: it is invalid, or the role lacks a right. It does
// not run the query.
func (r *reader) check(ctx context.Context, timeout time.Duration) error {
	if err := r.connect(ctx); err != nil {
		return err
	}
	err := r.plan(ctx, timeout)
	// a table that it uses was altered since it was prepared
	if code := postgres.Code(err); code == "0A000" || code == "26000" {
		r.forget(ctx)
		err = r.plan(ctx, timeout)
	}
	code := postgres.Code(err)
	switch {
	case code == insufficientPrivilege:
		findings, err := r.query.unreadable(ctx, r.conn, err)
		if err != nil {
			return err
		}
		return fault.New(findings[0].Code, "%s", findings[0].Message).WithFix(findings[0].Fix)
	case err == nil || saysNothing(err):
		return err
	default:
		return invalid("Postgres cannot plan it: %s", safeMessage(err))
	}
}

func (r *reader) plan(ctx context.Context, timeout time.Duration) error {
	if err := r.describe(ctx); err != nil {
		return err
	}
	err := r.explain(ctx, timeout, "UTF8")
	if postgres.Unconvertible(err) { // the plan, which nobody reads, names something that is not UTF-8
		err = r.explain(ctx, timeout, "SQL_ASCII")
	}
	return err
}

// explain has the query planned as it is for few keys, and the role's rights looked at.
func (r *reader) explain(ctx context.Context, timeout time.Duration, encoding string) error {
	tx, err := r.conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer rollBack(ctx, r.conn)
	if _, err := tx.Exec(ctx, payloadSettingsSQL, strconv.FormatInt(timeout.Milliseconds(), 10), genericPlan); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, r.query.path); err != nil { // as where it runs
		return err
	}
	if _, err := tx.Exec(ctx, "SET LOCAL client_encoding = "+encoding); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "EXPLAIN EXECUTE "+statementName+" ('{}')", pgx.QueryExecModeExec)
	return err
}

// refusal says that the database does not take what the payload query gave.
type refusal struct{ cause error }

// Error implements error. The text names no value.
func (e *refusal) Error() string {
	return "the database does not take what the payload query gives: " + safeMessage(e.cause)
}

// Unwrap gives errors.As the database's error.
func (e *refusal) Unwrap() error { return e.cause }

// failure is the payload query's error in words that name no value.
func failure(err error) string {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.Message
	}
	var size *answerError
	if errors.As(err, &size) {
		return size.text
	}
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.Error()
	}
	return "the payload query failed: " + safeMessage(err)
}
