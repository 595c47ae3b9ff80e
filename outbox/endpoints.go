package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
)

var (
	//go:embed sql/endpoints_read.sql
	endpointsReadSQL string
	//go:embed sql/endpoint_find.sql
	endpointFindSQL string
	//go:embed sql/endpoint_enable.sql
	endpointEnableSQL string
)

// endpointsTimeout is how long counting the messages that wait for endpoints may take if an operator asked for exactly
// that.
const endpointsTimeout = time.Minute

var (
	errUnknownEndpoint = errors.New(
		"no endpoint with this id or exact URL is known: take the id from endpoints list, " +
			"which shows URLs without password and query")
	errNoEndpoints = errors.New("there is no bookkeeping of endpoints in this database: run makes it")
)

// Endpoint is the state of an endpoint. State and counts are those of EndpointStatus.
type Endpoint struct {
	// ID names it in the logs and in attendee_relay.endpoint.
	ID    uuid.UUID     `json:"id"`
	URL   string        `json:"url"`
	State EndpointState `json:"state"`
	// By says who paused it; nil: it is not paused.
	By *string `json:"by"`
	// Since when it is in this state; nil: it has not answered yet.
	Since    *time.Time `json:"since"`
	Failures int64      `json:"failures"`
	Pending  int64      `json:"pending"`
	// LastError says how the last attempt that failed did; nil: none has.
	LastError *string `json:"last_error"`
}

// Stopped reports whether it gets no messages, until it answers a probe, has another URL or is enabled.
func (e *Endpoint) Stopped() bool {
	return e.State == EndpointPaused || e.State == EndpointDisabled
}

// ReadEndpoints reads all endpoints that messages wait for, or that are not healthy; none if there is no outbox yet.
func ReadEndpoints(ctx context.Context, conn *pgx.Conn) ([]Endpoint, error) {
	list := []Endpoint{}
	err := within(ctx, conn, endpointsTimeout, func(tx pgx.Tx) (err error) {
		list, err = readEndpoints(ctx, tx, nil)
		return err
	})
	if noOutbox(err) {
		return []Endpoint{}, nil
	}
	return list, counted("reading the endpoints", err)
}

// FindEndpoint reads the endpoint with this id or this exact URL. Its error shows neither.
func FindEndpoint(ctx context.Context, conn *pgx.Conn, name string) (*Endpoint, error) {
	var found Endpoint
	err := within(ctx, conn, endpointsTimeout, func(tx pgx.Tx) (err error) {
		for _, id := range endpointIDs(name) {
			rows, _ := tx.Query(ctx, endpointFindSQL, id) // its error comes with the row
			if found, err = pgx.CollectExactlyOneRow(rows, scanEndpoint); !errors.Is(err, pgx.ErrNoRows) {
				break
			}
		}
		return err
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, errUnknownEndpoint
	case noOutbox(err):
		return nil, errNoEndpoints
	case err != nil:
		return nil, counted("looking for the endpoint", err)
	}
	return &found, nil
}

// endpointIDs are those that a name may mean: an id, a URL to the letter, or one pasted with blanks around it.
func endpointIDs(name string) []uuid.UUID {
	trimmed := strings.TrimSpace(name)
	if id, err := uuid.Parse(trimmed); err == nil {
		return []uuid.UUID{id}
	}
	return []uuid.UUID{endpointID(name), endpointID(trimmed)}
}

// EnableEndpoint gives an endpoint that is paused or disabled its messages again, slowly at first. It reports false
// when the endpoint was neither.
func EnableEndpoint(ctx context.Context, conn *pgx.Conn, id uuid.UUID) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, queueTimeout,
		fmt.Errorf("the database did not answer within %v", queueTimeout))
	defer cancel()
	done, err := conn.Exec(ctx, endpointEnableSQL, id)
	if err != nil {
		return false, fmt.Errorf("enabling endpoint %s: %w", id, postgres.Safe(err))
	}
	return done.RowsAffected() == 1, nil
}

// readEndpoints reads at most limit endpoints; nil: all.
func readEndpoints(ctx context.Context, tx pgx.Tx, limit any) ([]Endpoint, error) {
	rows, err := tx.Query(ctx, endpointsReadSQL, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanEndpoint)
}

func scanEndpoint(row pgx.CollectableRow) (Endpoint, error) {
	var e Endpoint
	var stored string
	var proven bool
	err := row.Scan(&e.ID, &e.URL, &stored, &proven, &e.Since, &e.Failures, &e.Pending, &e.LastError)
	e.URL, e.State = publicURL(e.URL), endpointState(stored, e.Failures, proven)
	if e.State == EndpointPaused {
		by := byBreaker
		e.By = &by
	}
	return e, err
}

// counted says of an error what was being done.
func counted(doing string, err error) error {
	if postgres.Code(err) == "57014" {
		return fmt.Errorf("%s: counting the messages that wait took longer than %v; try again when the database is less busy",
			doing, endpointsTimeout)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, postgres.Safe(err))
	}
	return nil
}
