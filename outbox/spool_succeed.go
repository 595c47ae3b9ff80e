package outbox

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/spool_arrived.sql
	spoolArrivedSQL string
	//go:embed sql/spool_departed.sql
	spoolDepartedSQL string
	//go:embed sql/spool_succeed.sql
	spoolSucceedSQL string
	//go:embed sql/spool_succeeded.sql
	spoolSucceededSQL string
)

// continued are inserted rows of the spool and the deleted rows that they continue, as arrays for statements.
type continued struct {
	numbers, departed []int64
}

// succeedSpooled has inserted rows of a stretch of the spool take the place of the deleted rows that they continue: in
// the spool the two become one row that moved. Later steps need not know of it.
func succeedSpooled(ctx context.Context, tx pgx.Tx, after, until int64) error {
	if after == 0 {
		// Statistics of an earlier transaction would have every row compared with every other one.
		if _, err := tx.Exec(ctx, "ANALYZE (SKIP_LOCKED) attendee_relay.spool"); err != nil {
			return err
		}
	}
	c, err := readContinued(ctx, tx, after, until)
	if err != nil || len(c.numbers) == 0 {
		return err
	}
	q := &pgx.Batch{}
	q.Queue(spoolSucceedSQL, c.numbers, c.departed)
	q.Queue(spoolSucceededSQL, c.departed)
	return tx.SendBatch(ctx, q).Close()
}

// readContinued finds the rows of a stretch of the spool that continue deleted ones.
func readContinued(ctx context.Context, tx pgx.Tx, after, until int64) (*continued, error) {
	c := &continued{}
	arrived, err := readSpooled(ctx, tx, spoolArrivedSQL, after, until)
	if err != nil || len(arrived) == 0 {
		return c, err
	}
	keys := make([]string, len(arrived))
	for i, row := range arrived {
		keys[i] = row.key.Text
	}
	gone, err := readSpooled(ctx, tx, spoolDepartedSQL, keys)
	if err != nil {
		return c, err
	}
	left := departed(gone)
	for _, row := range arrived {
		if old := left.take(row.key.Text, row); old != nil {
			c.numbers, c.departed = append(c.numbers, row.number), append(c.departed, old.number)
		}
	}
	return c, nil
}
