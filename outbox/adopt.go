package outbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

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
)

// discardBatch is how many messages one transaction of Discard ends.
const discardBatch = 5_000

// Owner is whose bookkeeping it is: one deployment's, on one database of one cluster.
type Owner struct {
	SystemID, Database, Deployment string
}

// Adoption is what adopting the bookkeeping would change.
type Adoption struct {
	// Was and Is name the owner that the bookkeeping has and would get.
	Was, Is Owner
	// SettingsChanged: the SOURCE_* settings are other ones, so what the ledger lacks is announced only by SOURCE_BASELINE=send.
	// Else it is announced.
	SettingsChanged bool
	// Behind: the server's WAL ends, at WAL, before Checkpoint.
	Behind          bool
	Checkpoint, WAL string
	// Pending messages and Waiting acceptances are kept or discarded.
	Pending, Waiting int64

	settings Settings
	baseline string
	// tableChanged: the watched table is another one.
	tableChanged bool
	// began: streaming has begun, so the ledger says what was accepted before.
	began bool
}

// ErrNoBooks says that there is no bookkeeping in this database.
var ErrNoBooks = errors.New("there is no bookkeeping in this database: nothing to adopt; run makes it")

// PlanAdoption reads what an adoption would change, and changes nothing.
func PlanAdoption(ctx context.Context, conn *pgx.Conn, c Config, settings Settings, deployment string) (*Adoption, error) {
	a := &Adoption{Is: Owner{Deployment: deployment}, settings: settings, baseline: c.Baseline}
	var stored []byte
	err := conn.QueryRow(ctx, adoptReadSQL).Scan(&a.Was.SystemID, &a.Was.Database, &a.Was.Deployment, &stored, &a.began, &a.Checkpoint,
		&a.Is.SystemID, &a.Is.Database, &a.WAL, &a.Behind, &a.Pending, &a.Waiting)
	if code := postgres.Code(err); errors.Is(err, pgx.ErrNoRows) || code == "42P01" || code == "3F000" {
		return nil, ErrNoBooks
	}
	if err != nil {
		return nil, fmt.Errorf("reading whose the bookkeeping is: %w", err)
	}
	var had Settings
	if err := json.Unmarshal(stored, &had); err != nil {
		return nil, fmt.Errorf("reading the settings that the ledger was made with: %w", err)
	}
	a.SettingsChanged, a.tableChanged = !reflect.DeepEqual(had, settings), had.Table != settings.Table
	return a, nil
}

// Announces reports whether rows that the ledger lacks are announced when ledger and table are compared next.
func (a *Adoption) Announces() bool {
	return a.began && !a.SettingsChanged || a.baseline == "send"
}

// Discard ends all pending messages and waiting acceptances, in small transactions. It comes before Adopt, while the relays
// of a copy still send nothing.
func (a *Adoption) Discard(ctx context.Context, conn *pgx.Conn) error {
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

// Adopt binds the bookkeeping to this database and deployment. A relay that runs, or the next one, makes a new slot (phase
// own_slot) or takes the one that is there (given_slot), and compares ledger and table.
func (a *Adoption) Adopt(ctx context.Context, conn *pgx.Conn, phase replication.Phase) error {
	if err := Migrate(ctx, conn); err != nil {
		return err
	}
	settings, err := json.Marshal(a.settings)
	if err != nil {
		return fmt.Errorf("writing the settings down: %w", err)
	}
	if _, err := conn.Exec(ctx, adoptSQL, a.Is.Deployment, settings, string(phase), a.Announces(), a.tableChanged); err != nil {
		return fmt.Errorf("adopting the bookkeeping: %w", err)
	}
	return nil
}
