package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// watchEvery is how often the catalog is compared with what capture depends on.
const watchEvery = 30 * time.Second

// CompareLimit is how many differing rows are handled at a time.
const CompareLimit = 10_000

// difference is a difference between ledger and table. It is reconciled when the stream has passed after, because until
// then a change may only not have been read yet.
type difference struct {
	look  int64
	after pglogrepl.LSN
	files string
}

// watch looks at what the stream does not tell: a table altered or taken out of the publication, a partition truncated,
// attached or detached.
type watch struct {
	capture *Capture
	source  *Source
	every   time.Duration
	found   *atomic.Pointer[difference]
	// reconciled are the files under the table for which ledger and table agree.
	reconciled *atomic.Pointer[string]
	// seen are the files that the last look found.
	seen string
	// compareWait is how long the next comparison is put off after one that failed, which is at compareAt.
	compareWait time.Duration
	compareAt   time.Time
}

// compareTimeout bounds one comparison of ledger and table, which reads both.
const compareTimeout = 10 * time.Minute

// errPartitions: the stream has to be restarted.
var errPartitions = errors.New(
	"the partitions of the watched table changed: Postgres 14 streams those attached only to a new session")

// run returns a fault when the objects that capture depends on have changed. A check that fails is repeated the next
// time.
func (w *watch) run(ctx context.Context) error {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	defer w.capture.tasks.watching.Rest()
	for {
		w.capture.tasks.watching.Begin()
		err := w.look(ctx)
		if isAnyFault(err) || errors.Is(err, errPartitions) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.capture.tasks.watching.End(err)
		if err != nil {
			w.capture.log.Warn("the watched table could not be compared with the catalog",
				zap.String("error", fault.Sentence(err)))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, compareTimeout,
		fmt.Errorf("the database did not answer within %v", compareTimeout))
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
	if !w.source.same(now) {
		return fault.New(fault.SourceDrift, "%s, or its place in the publication, is not what capture was started with: it "+
			"was altered or recreated", w.source.Name())
	}
	w.capture.warnOfValues(ctx, conn, now)
	return w.compareFiles(ctx, conn)
}

// partitionsChanged reports whether the rows are in other tables than at the last look; a truncated table only has
// another file.
func (w *watch) partitionsChanged(files string) bool {
	leaves := func(files string) (oids []string) {
		for _, file := range strings.Fields(files) {
			oid, _, _ := strings.Cut(file, ":")
			oids = append(oids, oid)
		}
		return oids
	}
	before := w.seen
	w.seen = files
	return before != "" && !slices.Equal(leaves(before), leaves(files))
}

// compareFiles compares ledger and table when the files under the table have changed.
func (w *watch) compareFiles(ctx context.Context, conn *pgx.Conn) error {
	var files string
	var retained int64
	if err := conn.QueryRow(ctx, watchSQL, w.source.OID, w.capture.config.Slot).Scan(&files, &retained); err != nil {
		return fmt.Errorf("reading the files of the watched table: %w", err)
	}
	w.capture.retained.Store(retained)
	done := w.reconciled.Load()
	if done != nil && *done == files || !w.source.Partitioned {
		return nil // what happens to a table without partitions is in the stream
	}
	if w.partitionsChanged(files) && w.source.ServerVersion < 150000 {
		return errPartitions
	}
	if time.Now().Before(w.compareAt) {
		return nil
	}
	w.capture.tasks.watching.Rest() // reading both may take long, and has a time-out and a back-off of its own
	look, found, err := w.capture.books.Compare(ctx, conn)
	if err != nil {
		// A table that is too large for this is not read again and again.
		w.compareWait = min(max(2*w.compareWait, w.every), time.Hour)
		w.compareAt = time.Now().Add(w.compareWait)
		return err
	}
	w.compareWait = 0
	if found == 0 {
		w.reconciled.Store(&files)
		return nil
	}
	after, err := walEnd(ctx, conn)
	if err != nil {
		return err
	}
	w.found.Store(&difference{look: look, after: after, files: files})
	return nil
}

func walEnd(ctx context.Context, conn *pgx.Conn) (pglogrepl.LSN, error) {
	var end string
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		return 0, fmt.Errorf("reading the end of the WAL: %w", err)
	}
	return pglogrepl.ParseLSN(end)
}
