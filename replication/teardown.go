package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed teardown_publication.sql
	teardownPublicationSQL string
	//go:embed connected.sql
	connectedSQL string
	//go:embed slot_drop.sql
	slotDropSQL string
)

// Teardown is what capture has left in a database and what of it may be removed.
type Teardown struct {
	config Config
	// Slot is there to be dropped, with the WAL that it keeps; nil bytes: it is lost and keeps none.
	Slot     bool
	Retained *int64
	// Publication is there to be dropped.
	Publication bool
	// Notes say what is left alone, and why.
	Notes []string
}

// goingPatience is how long the sessions of a relay that was just stopped may take to go.
const goingPatience = 2 * time.Second

// PlanTeardown looks at what there is to remove and changes nothing. It refuses with a fault while a relay of this
// deployment is connected or somebody reads the slot: a relay would recreate everything.
func PlanTeardown(ctx context.Context, conn *pgx.Conn, c Config, deployment string) (*Teardown, error) {
	for began := time.Now(); ; {
		t, err := planTeardown(ctx, conn, c, deployment)
		var f *fault.Fault
		if !errors.As(err, &f) || f.Code != fault.SlotBusy || time.Since(began) > goingPatience {
			return t, err
		}
		select {
		case <-time.After(goingPatience / 20):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func planTeardown(ctx context.Context, conn *pgx.Conn, c Config, deployment string) (*Teardown, error) {
	t := &Teardown{config: c}
	s, err := readSlot(ctx, conn, c.Slot)
	if err != nil {
		return nil, err
	}
	var f *fault.Fault
	switch {
	case s == nil:
	case errors.As(s.ours(c.Slot), &f):
		t.Notes = append(t.Notes, f.Message+": it stays")
	case s.active:
		return nil, fault.New(fault.SlotBusy, "replication slot %q is read by %q, process %d of the server",
			c.Slot, s.holder, s.pid).WithFix("stop the relay first")
	default:
		t.Slot = true
		status, err := ReadSlotStatus(ctx, conn, c.Slot)
		if err != nil {
			return nil, err
		}
		t.Retained = status.RetainedWAL
	}
	if err := refuseConnected(ctx, conn, deployment); err != nil {
		return nil, err
	}
	return t, t.planPublication(ctx, conn)
}

// refuseConnected refuses while a relay is connected: a standby, too, would make the slot again.
func refuseConnected(ctx context.Context, conn *pgx.Conn, deployment string) error {
	var name string
	var pid int
	err := ask(ctx, conn, "looking for relays that are connected", connectedSQL,
		[]any{"attendee-relay/" + deployment + " "}, &name, &pid)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return fault.New(fault.SlotBusy, "a relay of this deployment is connected: %q, process %d of the server",
		name, pid).WithFix("stop the relay first")
}

func (t *Teardown) planPublication(ctx context.Context, conn *pgx.Conn) error {
	schema, table, _ := strings.Cut(t.config.Table, ".")
	var mine, allTables bool
	var others string
	err := ask(ctx, conn, fmt.Sprintf("reading publication %q", t.config.Publication), teardownPublicationSQL,
		[]any{t.config.Publication, schema, table}, &mine, &allTables, &others)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case allTables:
		t.Notes = append(t.Notes, fmt.Sprintf("publication %q is FOR ALL TABLES, which no relay makes: it stays",
			t.config.Publication))
	case others != "":
		t.Notes = append(t.Notes, fmt.Sprintf("publication %q also holds %s: it stays", t.config.Publication, others))
	case !mine:
		t.Notes = append(t.Notes, fmt.Sprintf("publication %q belongs to another role and stays; that role drops it with: %s",
			t.config.Publication, t.dropPublicationSQL()))
	default:
		t.Publication = true
	}
	return nil
}

func (t *Teardown) dropPublicationSQL() string {
	return "DROP PUBLICATION IF EXISTS " + pgx.Identifier{t.config.Publication}.Sanitize()
}

// Remove drops the slot, so that it keeps no WAL any more, and then the publication.
func (t *Teardown) Remove(ctx context.Context, conn *pgx.Conn) error {
	var failed error
	if t.Slot {
		_, err := conn.Exec(ctx, slotDropSQL, t.config.Slot)
		switch postgres.Code(err) {
		case "42501":
			failed = fault.New(fault.Privilege, "the role may not drop replication slot %q",
				t.config.Slot).WithFix("ALTER ROLE " + roleName(conn.PgConn()) + " REPLICATION")
		case "55006":
			return fault.New(fault.SlotBusy, "replication slot %q is read again by somebody", t.config.Slot).
				WithFix("stop the relay first")
		default:
			if err != nil {
				return fmt.Errorf("dropping replication slot %q: %w", t.config.Slot, err)
			}
		}
	}
	if t.Publication {
		if _, err := conn.Exec(ctx, t.dropPublicationSQL()); err != nil {
			failed = errors.Join(failed, fmt.Errorf("dropping publication %q: %w", t.config.Publication, err))
		}
	}
	return failed
}

// TeardownSQL is Remove for somebody else to run: it does nothing where there is nothing.
func (c Config) TeardownSQL() []string {
	return []string{
		"SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots\n" +
			" WHERE slot_name = " + quoteLiteral(c.Slot) +
			" AND plugin = 'pgoutput' AND database = pg_catalog.current_database();",
		(&Teardown{config: c}).dropPublicationSQL() + ";",
	}
}
