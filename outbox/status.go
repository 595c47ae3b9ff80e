package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/weburl"
)

var (
	//go:embed sql/status_count.sql
	statusCountSQL string
	//go:embed sql/status_estimate.sql
	statusEstimateSQL string
)

const (
	// countTimeout is how long counting may take before status is content with estimates.
	countTimeout = 3 * time.Second
	// endpointLimit and urlLimit bound what status shows.
	endpointLimit = 100
	urlLimit      = 200
)

// Status is the state of the outbox; the names are fixed by the public contract, section 6. Values that could be
// neither counted nor, where counting took too long, estimated are nil, not zero.
type Status struct {
	// Checkpoint is nil while there is none.
	Checkpoint  *string `json:"checkpoint_lsn"`
	Acceptances struct {
		Waiting *int64 `json:"waiting"`
		// Failing are those of the waiting whose payload could not be made: attendee_relay.acceptance has the error of each.
		Failing *int64 `json:"failing"`
		Empty   *int64 `json:"empty"`
	} `json:"acceptances"`
	Outbox struct {
		Pending   *int64 `json:"pending"`
		Delivered *int64 `json:"delivered"`
		Dead      *int64 `json:"dead"`
		Skipped   *int64 `json:"skipped"`
	} `json:"outbox"`
	OldestPending *float64         `json:"oldest_pending_seconds"`
	OldestWaiting *float64         `json:"oldest_waiting_seconds"`
	Endpoints     []EndpointStatus `json:"endpoints"`
	// Estimated: counting took too long, so the counts are the planner's.
	Estimated bool `json:"-"`
}

// EndpointStatus is an endpoint that messages wait for, or that is in trouble.
type EndpointStatus struct {
	// URL has no password and no query, and is cut off when it is long.
	URL   string        `json:"url"`
	State EndpointState `json:"state"`
	// By says who paused it: its failures, by the breaker; nil: it is not paused.
	By *string `json:"by"`
	// Failures counts the attempts that failed since the last 2xx.
	Failures int64 `json:"failures"`
	Pending  int64 `json:"pending"`
}

// ReadStatus reads the state of the outbox; everything is zero if there is none yet.
func ReadStatus(ctx context.Context, conn *pgx.Conn) (*Status, error) {
	return readStatus(ctx, conn, countTimeout)
}

func readStatus(ctx context.Context, conn *pgx.Conn, limit time.Duration) (*Status, error) {
	s := &Status{}
	read := func(sql string, timeout time.Duration) error {
		return within(ctx, conn, timeout, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, sql).Scan(&s.Checkpoint, &s.Acceptances.Waiting, &s.Acceptances.Failing,
				&s.Acceptances.Empty, &s.Outbox.Pending, &s.Outbox.Delivered, &s.Outbox.Dead, &s.Outbox.Skipped,
				&s.OldestPending, &s.OldestWaiting)
		})
	}
	err := read(statusCountSQL, limit)
	if postgres.Code(err) == "57014" {
		s.Estimated = true
		err = read(statusEstimateSQL, countTimeout)
	}
	if noOutbox(err) {
		s.zero()
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("counting the outbox: %w", err)
	}
	s.Endpoints = []EndpointStatus{}
	err = within(ctx, conn, limit, func(tx pgx.Tx) error {
		list, err := readEndpoints(ctx, tx, endpointLimit)
		for _, e := range list {
			s.Endpoints = append(s.Endpoints, EndpointStatus{
				URL: e.URL, State: e.State, By: e.By, Failures: e.Failures, Pending: e.Pending})
		}
		return err
	})
	if postgres.Code(err) == "57014" {
		s.Endpoints = nil
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the endpoints: %w", err)
	}
	return s, nil
}

// zero returns the counts of an outbox that does not exist yet.
func (s *Status) zero() {
	for _, count := range []**int64{&s.Acceptances.Waiting, &s.Acceptances.Failing, &s.Acceptances.Empty,
		&s.Outbox.Pending,
		&s.Outbox.Delivered, &s.Outbox.Dead, &s.Outbox.Skipped} {
		*count = new(int64)
	}
	s.OldestPending, s.OldestWaiting, s.Endpoints = new(float64), new(float64), []EndpointStatus{}
}

// within reads in a transaction whose statements the server ends after timeout.
func within(ctx context.Context, conn *pgx.Conn, timeout time.Duration, read func(pgx.Tx) error) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	_, err = tx.Exec(ctx, "SELECT set_config('statement_timeout', $1, true)",
		strconv.FormatInt(timeout.Milliseconds(), 10))
	if err != nil {
		return err
	}
	return read(tx)
}

// publicURL is what may be shown of a URL: no password, no query, no fragment.
func publicURL(text string) string {
	shown := "(not a URL)"
	if u, err := url.Parse(weburl.Trim(text)); err == nil && u.Host != "" {
		shown = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
	} else if u, err := weburl.Parse(text); err == nil { // only a browser understands it
		shown = u.Public()
	}
	if len(shown) > urlLimit {
		shown = shown[:urlLimit] + "..."
	}
	return shown
}
