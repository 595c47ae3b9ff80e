package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/replication"
)

//go:embed sql/adopt_missing.sql
var adoptMissingSQL string

const (
	// missingTimeout bounds the comparison of ledger and table, conditionTimeout one with an operator's condition.
	missingTimeout   = 10 * time.Minute
	conditionTimeout = time.Minute
)

// Choice says what an operator wants announced of the accepted rows that the ledger lacks.
type Choice struct {
	// Send: announce them, or those for which Where holds, a condition on the watched table; the others are marked.
	Send  bool
	Where string
}

// ConditionError says why Postgres does not take a Choice's condition. It shows no value of a row.
type ConditionError struct{ reason string }

// Error implements error.
func (e *ConditionError) Error() string {
	return "--where is not a usable condition on the watched table: " + e.reason
}

// missingRow is an accepted row that the ledger lacks, in the database's encoding.
type missingRow struct {
	identity string
	key      *string
	// chosen: the operator's condition holds for it.
	chosen bool
}

// readMissing compares ledger and table in a transaction that only reads. forget: the ledger counts as empty.
func readMissing(ctx context.Context, conn *pgx.Conn, source *replication.Source, forget bool, condition string) (
	rows []missingRow, err error) {
	limit, asked := missingTimeout, condition != ""
	if asked {
		limit = conditionTimeout
	} else {
		condition = "true"
	}
	err = within(ctx, conn, limit, func(tx pgx.Tx) error {
		if err := checkNested(ctx, tx, source, condition); err != nil {
			return err
		}
		sql := fmt.Sprintf(adoptMissingSQL, source.From(), source.IdentitySQL(), source.KeySQL(), source.AcceptedSQL("$1"),
			condition)
		found, err := tx.Query(ctx, sql, source.Accepted, forget)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (m missingRow, err error) {
			var identity, key []byte
			err = row.Scan(&identity, &key, &m.chosen)
			m.identity, m.key = string(identity), rawText(key)
			return m, err
		})
		return err
	})
	switch code := postgres.Code(err); {
	case err == nil:
		return rows, nil
	case asked && code == "57014":
		return nil, &ConditionError{fmt.Sprintf("comparing by it took longer than %v", conditionTimeout)}
	case asked && code != "" && !postgres.Unreachable(err):
		return nil, &ConditionError{safeMessage(err)}
	case code == "42501":
		return nil, fault.New(fault.RowSecurity, "the role may not read all rows of %s: it lacks SELECT, "+
			"or row level security hides some from it", source.Name()).
			WithFix("GRANT SELECT ON " + source.Name() + " TO <the relay's role>; " +
				"with row level security also ALTER ROLE <the relay's role> BYPASSRLS")
	default:
		return nil, fmt.Errorf("comparing the ledger with the accepted rows: %w", postgres.Safe(err))
	}
}

// checkNested refuses a condition that would end the parentheses around it, as in "true) OR (true": between brackets
// of another kind that is a syntax error. What passes between both kinds is an expression by itself. (A string, a
// comment or a dollar quote that is left open is an error between either.)
func checkNested(ctx context.Context, tx pgx.Tx, source *replication.Source, condition string) error {
	_, err := tx.Conn().PgConn().Prepare(ctx, "", "SELECT ARRAY[\n"+condition+"\n] FROM "+source.From(), nil)
	return err
}
