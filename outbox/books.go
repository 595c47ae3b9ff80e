package outbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

var (
	//go:embed sql/checkpoint_read.sql
	checkpointReadSQL string
	//go:embed sql/checkpoint_make.sql
	checkpointMakeSQL string
	//go:embed sql/books_exist.sql
	booksExistSQL string
	//go:embed sql/began.sql
	beganSQL string
)

// Exist implements replication.Books.
func (r *Recorder) Exist(ctx context.Context) (bool, error) {
	conn, release, err := r.writer.hold(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	return booksExist(ctx, conn)
}

func booksExist(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var exists bool
	if err := conn.QueryRow(ctx, booksExistSQL).Scan(&exists); err != nil {
		return false, fmt.Errorf("looking for the bookkeeping: %w", err)
	}
	return exists, nil
}

// Open implements replication.Books. On a first start it touches nothing unless the payload query can be used; later an
// unusable one stops rendering only.
func (r *Recorder) Open(ctx context.Context, cluster replication.Cluster,
	source *replication.Source) (replication.Position, error) {
	r.dropDead(ctx)
	conn, release, err := r.writer.hold(ctx)
	if err != nil {
		return replication.Position{}, err
	}
	defer release()
	exists, err := booksExist(ctx, conn)
	if err != nil {
		return replication.Position{}, err
	}
	if err := r.checkQuery(ctx, conn); err != nil {
		return replication.Position{}, err
	}
	if exists {
		if err := r.checkOwner(ctx, conn, cluster); err != nil {
			return replication.Position{}, err // before a migration touches what is another's
		}
	}
	if err := Migrate(ctx, conn); err != nil {
		return replication.Position{}, err
	}
	settings, err := json.Marshal(r.settings)
	if err != nil {
		return replication.Position{}, fmt.Errorf("writing the settings down: %w", err)
	}
	_, err = conn.Exec(ctx, checkpointMakeSQL, cluster.SystemID, cluster.Database, r.deployment, settings)
	if err != nil {
		return replication.Position{}, fmt.Errorf("making the checkpoint: %w", err)
	}
	at, err := r.readCheckpoint(ctx, conn, cluster)
	if err != nil {
		return replication.Position{}, err
	}
	r.opened.Store(&opened{systemID: cluster.SystemID, source: source})
	return at, nil
}

// dropDead closes the connections on which the server does not answer any more. Otherwise each of them would be found
// dead by its own try, and after a restart of the server every try waits longer than the one before.
func (r *Recorder) dropDead(ctx context.Context) {
	r.writer.mu.Lock()
	defer r.writer.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	for _, conn := range []*pgx.Conn{r.writer.conn, r.reader.conn} {
		if conn != nil && !conn.IsClosed() && conn.Ping(ctx) != nil {
			_ = conn.Close(ctx)
		}
	}
}

// aliveTimeout is how long both connections may take to say that they are alive; new ones cost milliseconds.
const aliveTimeout = time.Second

// checkQuery shows on the fault board why the payload query cannot be run. It is an error on a first start only.
func (r *Recorder) checkQuery(ctx context.Context, conn *pgx.Conn) error {
	began, err := Began(ctx, conn)
	if err != nil {
		return err
	}
	err = r.reader.check(ctx, r.config.QueryTimeout)
	var f *fault.Fault
	switch {
	case err == nil:
		r.board.Clear(fault.QueryInvalid)
	case !began:
		return err
	case errors.As(err, &f):
		r.board.Raise(whileRunning(f))
	}
	return nil
}

// Began reports whether streaming has begun in this database: until then a start is a first one. If the role may not
// see it, it has not begun.
func Began(ctx context.Context, conn *pgx.Conn) (began bool, err error) {
	began, err = booksExist(ctx, conn)
	if err == nil && began {
		err = conn.QueryRow(ctx, beganSQL).Scan(&began)
	}
	if postgres.Code(err) == insufficientPrivilege {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking whether streaming has begun: %w", err)
	}
	return began, nil
}

// adoptFix is the fix if the bookkeeping came with a copy, a restore or pg_upgrade. The choice that forgets the most
// comes last.
const adoptFix = "after pg_upgrade or a restore: attendee-relay adopt --keep-pending --yes (what was not sent yet is " +
	"sent); on a copy for something else, with a DEPLOYMENT of its own: attendee-relay adopt --discard-pending --yes " +
	"(nothing of it is sent); only to forget what was sent and start over: DROP SCHEMA attendee_relay CASCADE"

// checkOwner refuses bookkeeping that belongs to another deployment, database or cluster.
func (r *Recorder) checkOwner(ctx context.Context, conn *pgx.Conn, cluster replication.Cluster) error {
	var systemID, database, deployment string
	err := conn.QueryRow(ctx, "SELECT system_id, database, deployment FROM attendee_relay.checkpoint").
		Scan(&systemID, &database, &deployment)
	if errors.Is(err, pgx.ErrNoRows) || postgres.Code(err) == "42P01" {
		return nil // nobody's yet
	}
	if err != nil {
		return fmt.Errorf("reading whose the bookkeeping is: %w", err)
	}
	if systemID != cluster.SystemID || database != cluster.Database || deployment != r.deployment {
		return fault.New(fault.ClusterChanged,
			"the bookkeeping belongs to deployment %q on database %q of cluster %s, "+
				"and this is deployment %q on database %q of cluster %s: "+
				"this is a copy, the cluster was upgraded by pg_upgrade or restored, or DEPLOYMENT was changed",
			deployment, database, systemID, r.deployment, cluster.Database, cluster.SystemID).
			WithFix(adoptFix)
	}
	return nil
}

// readCheckpoint refuses bookkeeping that belongs to another database or was made with other settings.
func (r *Recorder) readCheckpoint(ctx context.Context, conn *pgx.Conn,
	cluster replication.Cluster) (replication.Position, error) {
	if err := r.checkOwner(ctx, conn, cluster); err != nil {
		return replication.Position{}, err
	}
	var phase, lsn string
	var stored []byte
	var at replication.Position
	var seen, until *string
	err := conn.QueryRow(ctx, checkpointReadSQL).Scan(&stored, &phase, &lsn, &seen, &until, &at.Pins)
	if err != nil {
		return replication.Position{}, fmt.Errorf("reading the checkpoint: %w", err)
	}
	if err := r.checkSettings(stored); err != nil {
		return replication.Position{}, err
	}
	at.Phase = replication.Phase(phase)
	if at.LSN, err = pglogrepl.ParseLSN(lsn); err != nil {
		return replication.Position{}, fmt.Errorf("reading the checkpoint: %w", err)
	}
	if at.LSN > cluster.WAL && at.Phase == replication.PhaseStreaming {
		return replication.Position{}, fault.New(fault.LSNBehind,
			"the server's WAL ends at %s, before the checkpoint %s: this is an older copy of the database, or a restored backup",
			cluster.WAL, at.LSN).
			WithFix(adoptFix)
	}
	return at, r.rememberSeen(seen, until)
}

func (r *Recorder) rememberSeen(text, until *string) error {
	r.seenUntil = 0
	if text == nil || until == nil {
		return nil
	}
	var err error
	if r.seen, err = parseSnapshot(*text); err != nil {
		return err
	}
	r.seenUntil, err = pglogrepl.ParseLSN(*until)
	return err
}

// Lead implements replication.Books.
func (r *Recorder) Lead(ctx context.Context) (replication.Position, error) {
	phase, lsn, stored, err := r.writer.lead(ctx)
	if err != nil {
		return replication.Position{}, err
	}
	if err := r.checkSettings(stored); err != nil {
		return replication.Position{}, err // adopted since it was opened
	}
	r.spooling = nil
	r.forgetLook()
	at := replication.Position{Phase: replication.Phase(phase)}
	if at.LSN, err = pglogrepl.ParseLSN(lsn); err != nil {
		return replication.Position{}, fmt.Errorf("reading the checkpoint: %w", err)
	}
	r.signal(true, true)
	return at, nil
}
