package replication

import (
	"context"
	_ "embed"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed watch.sql
var watchSQL string

// watchEvery is how often the catalog is compared with what capture rests on.
const watchEvery = 30 * time.Second

// VanishedLimit is how many vanished rows are handled at a time.
const VanishedLimit = 10_000

// Reconciler compares the bookkeeping with the table itself, for changes that the stream does not carry.
type Reconciler interface {
	// Vanished lists rows that the ledger holds and that are not accepted in the table now, at most VanishedLimit.
	Vanished(ctx context.Context, conn *pgx.Conn) ([]string, error)
	// Forget takes those of rows out of the ledger that have still vanished.
	Forget(ctx context.Context, rows []string) error
}

// removal is rows found vanished. They are forgotten when the stream has passed after, so that none of them had merely
// not been read yet.
type removal struct {
	rows  []string
	after pglogrepl.LSN
}

// watch looks at what the stream does not tell: a table altered or taken out of the publication, a partition truncated.
type watch struct {
	capture *Capture
	source  *Source
	every   time.Duration
	files   string
	found   *atomic.Pointer[removal]
}

// run returns a fault when capture no longer rests on what it was started with. What cannot be looked at is looked at
// next time.
func (w *watch) run(ctx context.Context) error {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		err := w.look(ctx)
		if isAnyFault(err) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			w.capture.log.Warn("the watched table could not be compared with the catalog", zap.Error(err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.every, fmt.Errorf("the database did not answer within %v", w.every))
	defer cancel()
	conn, err := postgres.Direct(ctx, w.capture.url, w.capture.name("watch"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	now, err := ReadSource(ctx, conn, w.capture.config)
	if err != nil {
		return err
	}
	if _, err := checkPublication(ctx, conn, w.capture.config, now); err != nil {
		return err
	}
	if !reflect.DeepEqual(now, w.source) {
		return fault.New(fault.SourceDrift, "%s, or its place in the publication, is not what capture was started with: it was altered or made anew", w.source.Name())
	}
	return w.compareFiles(ctx, conn)
}

// compareFiles compares ledger and table when the files under the table have changed.
func (w *watch) compareFiles(ctx context.Context, conn *pgx.Conn) error {
	var files string
	var retained int64
	if err := conn.QueryRow(ctx, watchSQL, w.source.OID, w.capture.config.Slot).Scan(&files, &retained); err != nil {
		return fmt.Errorf("reading the files of the watched table: %w", err)
	}
	w.capture.retained.Store(retained)
	if files == w.files || !w.source.Partitioned {
		return nil // a TRUNCATE of a table that has no partitions is in the stream
	}
	rows, err := w.capture.reconciler.Vanished(ctx, conn)
	if err != nil {
		return err
	}
	var end string
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		return fmt.Errorf("reading the end of the WAL: %w", err)
	}
	after, err := pglogrepl.ParseLSN(end)
	if err != nil {
		return err
	}
	if len(rows) < VanishedLimit {
		w.files = files // else there may be more, next time
	}
	if len(rows) > 0 {
		w.found.Store(&removal{rows: rows, after: after})
	}
	return nil
}
