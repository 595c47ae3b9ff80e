package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/pgserver"
)

const (
	database = "registrations"
	// relayTimeout bounds the wait for a relay that starts; stopTimeout bounds the stop of each part.
	relayTimeout = 60 * time.Second
	stopTimeout  = 40 * time.Second
)

// stage is the set-up of a demo: open builds it, close takes down whatever was built.
type stage struct {
	out   *printer
	watch *stopwatch
	shown bool // only show, which is never called twice at a time, looks at it

	postgres *pgserver.Server
	pool     *pgxpool.Pool
	http     *http.Server
	endRelay context.CancelFunc
	relay    chan error // what Relay returned, once; closed after it
}

// open starts the parts, each before those that need it.
func (s *stage) open(ctx context.Context,
	relay func(ctx context.Context, databaseURL, receiverURL string) error) error {
	s.out.line("Starting a private Postgres.")
	var err error
	if s.postgres, err = pgserver.Start(ctx, pgserver.Options{}); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening the receiver's port: %w", err)
	}
	receiverURL := "http://" + listener.Addr().String()
	databaseURL := s.postgres.URL(database)
	secrets, err := s.openDatabase(ctx, databaseURL, receiverURL)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s.http = &http.Server{Handler: NewReceiver(secrets, s.show), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }() // until close shuts it down
	s.out.line(fmt.Sprintf("Postgres listens on 127.0.0.1:%d, the receiver on %s. Starting the relay.",
		s.postgres.Port(), listener.Addr()))

	// The relay outlives an interrupted play, to deliver what was accepted last; close ends it.
	relayCtx, end := context.WithCancel(context.WithoutCancel(ctx))
	s.endRelay, s.relay = end, make(chan error, 1)
	go func() {
		defer close(s.relay)
		s.relay <- relay(relayCtx, databaseURL, receiverURL)
	}()
	return s.awaitRelay(ctx)
}

// openDatabase creates and fills the registration database.
func (s *stage) openDatabase(ctx context.Context, databaseURL, receiverURL string) (secrets []string, err error) {
	conn, err := pgx.Connect(ctx, s.postgres.URL("postgres"))
	if err != nil {
		return nil, fmt.Errorf("connecting to create the demo's database: %w", err)
	}
	_, err = conn.Exec(ctx, "create database "+database)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return nil, fmt.Errorf("creating the demo's database: %w", err)
	}
	if secrets, err = Load(ctx, databaseURL, receiverURL); err != nil {
		return nil, err
	}
	if s.pool, err = pgxpool.New(ctx, databaseURL); err != nil {
		return nil, fmt.Errorf("opening the demo's database: %w", err)
	}
	if _, err := s.pool.Exec(ctx, Access, pgx.QueryExecModeSimpleProtocol); err != nil {
		return nil, fmt.Errorf("making the relay's role: %w", err)
	}
	return secrets, nil
}

// awaitRelay waits until Postgres has a replication slot that is ready: from then on no acceptance is missed, whereas
// one committed earlier would belong to the baseline and not be announced.
func (s *stage) awaitRelay(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, relayTimeout, fmt.Errorf("no replication slot within %s", relayTimeout))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		const query = `select exists (select from pg_replication_slots where confirmed_flush_lsn is not null)`
		var ready bool
		if err := s.pool.QueryRow(ctx, query).Scan(&ready); err != nil && ctx.Err() == nil {
			return fmt.Errorf("looking for the relay's slot: %w", err)
		}
		if ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the relay: %w", context.Cause(ctx))
		case err := <-s.relay:
			return s.relayEnded(err)
		}
	}
}

// relayEnded says that the relay returned although nobody ended it.
func (s *stage) relayEnded(err error) error {
	if err == nil {
		return errors.New("the relay ended by itself")
	}
	return fmt.Errorf("running the relay: %w", err)
}

// close stops what open started, in the opposite order: the relay first, so that it can record what it delivered.
func (s *stage) close(ctx context.Context) error {
	var failed []error
	if s.endRelay != nil {
		failed = append(failed, s.stopRelay())
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if s.http != nil {
		failed = append(failed, s.http.Shutdown(ctx))
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.postgres != nil {
		failed = append(failed, s.postgres.Stop(ctx))
	}
	return errors.Join(failed...)
}

func (s *stage) stopRelay() error {
	s.endRelay()
	select {
	case err := <-s.relay: // nil as well when it was read before, the channel being closed
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("stopping the relay: %w", err)
		}
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("stopping the relay: it still runs after %s", stopTimeout)
	}
}
