package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

var (
	//go:embed sql/fence.sql
	fenceSQL string
	//go:embed sql/durable.sql
	durableSQL string
	//go:embed sql/leader.sql
	leaderSQL string
	//go:embed sql/lead.sql
	leadSQL string
	//go:embed sql/leader_again.sql
	leaderAgainSQL string
)

// writeTimeout bounds one transaction of the writer.
const writeTimeout = time.Minute

// errFenced: another process leads, and nothing was written.
var errFenced = errors.New("another process has taken the lead: nothing was written")

// writer makes every change to ledger, checkpoint and acceptances, each in one short transaction under the fence. It
// has one connection, so that a successor has one backend to end.
type writer struct {
	url  secret.String
	name string

	mu    sync.Mutex
	conn  *pgx.Conn
	epoch int64
	// limit is writeTimeout, unless a test changes it.
	limit time.Duration
	// encoding is the database's, by Postgres's name for it.
	encoding string
}

func (w *writer) connect(ctx context.Context) (*pgx.Conn, error) {
	if w.conn != nil && !w.conn.IsClosed() {
		return w.conn, nil
	}
	conn, err := postgres.Direct(ctx, w.url, w.name)
	if err != nil {
		return nil, fmt.Errorf("connecting for the bookkeeping: %w", err)
	}
	if err := setWriting(ctx, conn); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	if w.epoch > 0 {
		if _, err := conn.Exec(ctx, leaderAgainSQL, w.epoch); err != nil {
			_ = conn.Close(ctx)
			return nil, fmt.Errorf("naming the bookkeeping's new session: %w", err)
		}
	}
	useBodies(conn)
	w.conn, w.encoding = conn, encodingOf(conn)
	return conn, nil
}

// setWriting gives the bookkeeping's session its settings: confirmed commits must be durable, also where the role's
// default is off. Waiting for a standby stays as it is configured.
func setWriting(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, durableSQL); err != nil {
		return fmt.Errorf("preparing the bookkeeping's session: %w", err)
	}
	return nil
}

// hold gives the connection to one caller until release.
func (w *writer) hold(ctx context.Context) (conn *pgx.Conn, release func(), err error) {
	w.mu.Lock()
	conn, err = w.connect(ctx)
	if err != nil {
		w.mu.Unlock()
		return nil, nil, err
	}
	return conn, w.mu.Unlock, nil
}

func (w *writer) close(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil {
		_ = w.conn.Close(ctx)
	}
}

// briefly lets do use the connection, alone and for writeTimeout at most.
func (w *writer) briefly(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, w.limit, fmt.Errorf("the database did not answer within %v", w.limit))
	defer cancel()
	return w.use(ctx, do)
}

func (w *writer) use(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	conn, err := w.connect(ctx)
	if err != nil {
		return err
	}
	return do(ctx, conn)
}

// lead ends the predecessor's backend, whose open transaction may hold the fence, raises the epoch, and returns the
// position of the bookkeeping.
func (w *writer) lead(ctx context.Context) (phase, lsn string, settings []byte, err error) {
	err = w.briefly(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, leaderSQL); err != nil {
			return fmt.Errorf("ending the previous leader's session: %w", err)
		}
		if err := conn.QueryRow(ctx, leadSQL).Scan(&w.epoch, &phase, &lsn, &settings); err != nil {
			return fmt.Errorf("raising the fence: %w", err)
		}
		return nil
	})
	return phase, lsn, settings, err
}

// write runs the statements that fill queues in one transaction, behind the fence, and in one round trip. A checkpoint
// above 0 is moved there. The statements' texts are in the database's encoding, until utf8 is called.
func (w *writer) write(ctx context.Context, checkpoint pglogrepl.LSN, fill func(*pgx.Batch)) error {
	return w.briefly(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue("BEGIN")
		batch.Queue(fenceSQL, w.epoch, checkpoint.String())
		if converts(conn) {
			batch.Queue(ownEncodingSQL)
		}
		fill(batch)
		batch.Queue("COMMIT")
		if err := fenced(conn.SendBatch(ctx, batch).Close()); err != nil {
			rollBack(ctx, conn)
			return fmt.Errorf("recording: %w", err)
		}
		return nil
	})
}

// fenced names the fence's error.
func fenced(err error) error {
	if postgres.Code(err) == "22012" {
		return errFenced
	}
	return err
}

// rollBack ends the open transaction, if there is one, or the connection with it if ctx has ended or ends meanwhile: a
// server that does not answer must not hold up a caller that has given up waiting for it.
func rollBack(ctx context.Context, conn *pgx.Conn) {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	answered, cancel := context.WithTimeout(ctx, postgres.ConnectTimeout)
	defer cancel()
	if _, err := conn.Exec(answered, "ROLLBACK"); err != nil {
		_ = conn.Close(ctx)
	}
}

// utf8 has the texts of the statements that follow in a transaction be UTF-8.
func (w *writer) utf8(q *pgx.Batch) {
	if w.encoding != "UTF8" {
		q.Queue(utf8SQL)
	}
}

// within runs do in one transaction, behind the fence; the checkpoint stays. Texts are in the database's encoding,
// until utf8 is called.
func (w *writer) within(ctx context.Context, do func(pgx.Tx) error) error {
	return w.briefly(ctx, func(ctx context.Context, conn *pgx.Conn) error { return w.transact(ctx, conn, do) })
}

// patiently is within for as long as ctx allows: the caller bounds it.
func (w *writer) patiently(ctx context.Context, do func(pgx.Tx) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.use(ctx, func(ctx context.Context, conn *pgx.Conn) error { return w.transact(ctx, conn, do) })
}

func (w *writer) transact(ctx context.Context, conn *pgx.Conn, do func(pgx.Tx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("beginning to record: %w", err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, fenceSQL, w.epoch, pglogrepl.LSN(0).String()); err != nil {
		return fmt.Errorf("passing the fence: %w", fenced(err))
	}
	if converts(conn) {
		if _, err := tx.Exec(ctx, ownEncodingSQL); err != nil {
			return fmt.Errorf("preparing to record: %w", err)
		}
	}
	if err := do(tx); err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("committing what was recorded: %w", err)
	}
	return nil
}
