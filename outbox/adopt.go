package outbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

var (
	//go:embed sql/adopt_read.sql
	adoptReadSQL string
	//go:embed sql/adopt_discard.sql
	adoptDiscardSQL string
	//go:embed sql/adopt_discard_waiting.sql
	adoptDiscardWaitingSQL string
	//go:embed sql/adopt.sql
	adoptSQL string
	//go:embed sql/adopt_mark.sql
	adoptMarkSQL string
)

// discardBatch is how many messages one transaction of Discard ends, markBatch how many rows one statement marks.
const (
	discardBatch = 5_000
	markBatch    = 5_000
)

// ShownKeys is how many keys of rows that the ledger lacks are shown.
const ShownKeys = 20

// Owner is whose bookkeeping it is: one deployment's, on one database of one cluster.
type Owner struct {
	SystemID, Database, Deployment string
}

// Adoption is what adopting the bookkeeping would change.
type Adoption struct {
	// Was and Is name the owner that the bookkeeping has and would get.
	Was, Is Owner
	// SettingsChanged: the SOURCE_* settings are other ones.
	SettingsChanged bool
	// Behind: the server's WAL ends, at WAL, before Checkpoint.
	Behind          bool
	Checkpoint, WAL string
	// Pending messages and Waiting acceptances are kept or discarded.
	Pending, Waiting int64
	// Announced and Marked are the keys of the accepted rows that the ledger lacks, by the decision about them. The first
	// ShownKeys of each can be shown; the others are in the database's encoding.
	Announced, Marked []string

	settings Settings
	// marks are the rows of Marked.
	marks []missingRow
	// tableChanged: the watched table is another one.
	tableChanged bool
	// began: streaming has begun, so the ledger says what was accepted before.
	began bool
}

// ErrNoBooks says that there is no bookkeeping in this database.
var ErrNoBooks = errors.New("there is no bookkeeping in this database: nothing to adopt; run makes it")

// PlanAdoption reads what an adoption would change, and changes nothing. It returns a *ConditionError when the choice's
// condition cannot be used.
func PlanAdoption(ctx context.Context, conn *pgx.Conn, c Config, settings Settings, deployment string,
	source *replication.Source, choice Choice) (*Adoption, error) {
	a := &Adoption{Is: Owner{Deployment: deployment}, settings: settings}
	var stored []byte
	err := conn.QueryRow(ctx, adoptReadSQL).Scan(&a.Was.SystemID, &a.Was.Database, &a.Was.Deployment,
		&stored, &a.began, &a.Checkpoint, &a.Is.SystemID, &a.Is.Database, &a.WAL, &a.Behind, &a.Pending, &a.Waiting)
	if code := postgres.Code(err); errors.Is(err, pgx.ErrNoRows) || code == "42P01" || code == "3F000" {
		return nil, ErrNoBooks
	}
	if err != nil {
		return nil, fmt.Errorf("reading whose the bookkeeping is: %w", err)
	}
	had, err := parseSettings(stored)
	if err != nil {
		return nil, err
	}
	a.SettingsChanged, a.tableChanged = len(had.changes(settings)) > 0, had.Table != settings.Table
	missing, err := readMissing(ctx, conn, source, a.tableChanged, choice.Where)
	if err != nil {
		return nil, err
	}
	a.divide(missing, choice, c.Baseline)
	for _, keys := range [][]string{a.Announced, a.Marked} {
		if err := legible(ctx, conn, keys[:min(len(keys), ShownKeys)]); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// divide decides which of the missing rows are announced. Under the same settings the ledger says which rows were
// announced, so a missing row was forgotten. Under other settings it lacks rows that nobody was meant to hear about so
// far, unless the operator says otherwise.
func (a *Adoption) divide(missing []missingRow, choice Choice, baseline string) {
	all := choice.Send || a.began && !a.SettingsChanged || baseline == "send"
	for _, row := range missing {
		key := row.identity
		if row.key != nil {
			key = *row.key
		}
		if all && (choice.Where == "" || row.chosen) {
			a.Announced = append(a.Announced, key)
			continue
		}
		a.Marked, a.marks = append(a.Marked, key), append(a.marks, row)
	}
}

// Discard ends all pending messages and waiting acceptances, in small transactions. It comes before Adopt, while the
// relays of a copy still send nothing. The messages are logged and counted by the next leader.
func (a *Adoption) Discard(ctx context.Context, conn *pgx.Conn) error {
	if err := Migrate(ctx, conn); err != nil {
		return err
	}
	for _, sql := range []string{adoptDiscardSQL, adoptDiscardWaitingSQL} {
		for {
			done, err := conn.Exec(ctx, sql, discardBatch)
			if err != nil {
				return fmt.Errorf("discarding what is pending: %w", err)
			}
			if done.RowsAffected() == 0 {
				break
			}
		}
	}
	return nil
}

// Adopt binds the bookkeeping to this database and deployment, and enters the rows to be marked in the ledger, in one
// transaction. A relay that runs, or the next one, makes a new slot (phase own_slot) or uses the existing one
// (given_slot), compares ledger and table in its snapshot, and announces the rows that the ledger lacks: those to be
// announced, and those accepted since they were counted.
func (a *Adoption) Adopt(ctx context.Context, conn *pgx.Conn, phase replication.Phase) error {
	if err := Migrate(ctx, conn); err != nil {
		return err
	}
	settings, err := json.Marshal(a.settings)
	if err != nil {
		return fmt.Errorf("writing the settings down: %w", err)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// The checkpoint's row first, as a leader locks them.
		if _, err := tx.Exec(ctx, adoptSQL, a.Is.Deployment, settings, string(phase), a.tableChanged); err != nil {
			return err
		}
		for some := range slices.Chunk(a.marks, markBatch) {
			if err := mark(ctx, tx, some); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("adopting the bookkeeping: %w", err)
	}
	return nil
}

func mark(ctx context.Context, tx pgx.Tx, rows []missingRow) error {
	identities, keys := make([][]byte, len(rows)), make([][]byte, len(rows))
	for i, row := range rows {
		identities[i] = []byte(row.identity)
		if row.key != nil {
			keys[i] = []byte(*row.key)
		}
	}
	_, err := tx.Exec(ctx, adoptMarkSQL, identities, keys)
	return err
}
