package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

var (
	//go:embed values_seen.sql
	valuesSeenSQL string
	//go:embed values_count.sql
	valuesCountSQL string
	//go:embed values_estimate.sql
	valuesEstimateSQL string
)

const (
	// seenTimeout is how long it may take to find a row with one accepted value, valuesTimeout to count the rows by
	// value.
	seenTimeout   = 500 * time.Millisecond
	valuesTimeout = 2 * time.Second
	// valuesShown is how many values are shown, valueShown how many characters of each.
	valuesShown = 10
	valueShown  = 40
)

// valueCount is how many rows have a value; nil: NULL.
type valueCount struct {
	value *string
	rows  int64
}

// statusValues are the values that the watched table's rows have.
type statusValues struct {
	counts []valueCount
	// more is how many values are not among the counts.
	more int64
	// estimated: the counts are the planner's, because counting takes too long.
	estimated bool
}

// InspectValues says whether rows have the accepted values, in a few seconds at most, however large the table is: a
// value that no row has may be misspelt. Whether it is a warning follows from the rows; the planner's statistics only
// fill in counts that take too long.
func InspectValues(ctx context.Context, conn *pgx.Conn, c Config, source *Source) (fault.Finding, error) {
	return inspectValues(ctx, conn, c, source, seenTimeout, valuesTimeout)
}

func inspectValues(ctx context.Context, conn *pgx.Conn, c Config, source *Source, seen, counted time.Duration) (
	fault.Finding, error) {
	look := valuesLook{conn: conn, source: source, column: pgx.Identifier{source.Status.Name}.Sanitize(),
		seenTimeout: seen, countTimeout: counted}
	unseen, err := look.unseen(ctx)
	var found statusValues
	if err == nil && len(unseen) > 0 {
		found, err = look.count(ctx)
	}
	if postgres.Code(err) != "" && !postgres.Unreachable(err) {
		fix := "GRANT SELECT ON " + source.Name() + " TO " + roleName(conn.PgConn())
		if lacking := postgres.Grants(ctx, conn, "", err); strings.HasPrefix(lacking, "GRANT ") {
			fix = lacking
		}
		return fault.Warning(fault.AcceptedUnseen, fix,
			"whether rows of %s have the values of SOURCE_ACCEPTED could not be checked: %v",
			source.Name(), postgres.Safe(err)), nil
	}
	if err != nil {
		return fault.Finding{}, fmt.Errorf("looking for rows with the accepted values: %w", postgres.Safe(err))
	}
	unseen = slices.DeleteFunc(unseen, func(at int) bool {
		return found.has(source.Accepted[at]) || found.has(source.stream.accepted[at]) // as stored, beside odd ones
	})
	switch {
	case len(unseen) == 0:
		return fault.Passed(fault.AcceptedUnseen, "each value of SOURCE_ACCEPTED is found in %s", source.Name()), nil
	case !found.estimated && len(found.counts) == 0:
		return fault.Passed(fault.AcceptedUnseen, "%s has no rows yet", source.Name()), nil
	}
	names := make([]string, len(unseen))
	for i, at := range unseen {
		names[i] = shownValue(&c.Accepted[at])
	}
	return fault.Warning(fault.AcceptedUnseen,
		"set SOURCE_ACCEPTED to the value that means accepted; if it is right and not used yet, do nothing",
		"%s; none is %s (SOURCE_ACCEPTED)", found.text(source.Status.Name), strings.Join(names, " or ")), nil
}

// valuesLook asks for the values of one table, each time in a transaction that only reads and with a limit.
type valuesLook struct {
	conn   *pgx.Conn
	source *Source
	column string
	// seenTimeout and countTimeout bound the two questions whose answers may take long.
	seenTimeout, countTimeout time.Duration
}

func (l valuesLook) ask(ctx context.Context, limit time.Duration, question func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, l.conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT pg_catalog.set_config('statement_timeout', $1, true)",
			strconv.FormatInt(limit.Milliseconds(), 10))
		if err != nil {
			return err
		}
		return question(tx)
	})
}

func (l valuesLook) sql(text string) string {
	return fmt.Sprintf(text, l.source.From(), l.column, textSQL(l.source.Status))
}

// unseen lists the positions of the accepted values with which no row was found in time.
func (l valuesLook) unseen(ctx context.Context) (positions []int, err error) {
	began := time.Now()
	for at, value := range l.source.Accepted {
		var seen bool
		if time.Since(began) < l.countTimeout {
			err = l.ask(ctx, l.seenTimeout, func(tx pgx.Tx) error {
				return tx.QueryRow(ctx, l.sql(valuesSeenSQL), value).Scan(&seen)
			})
		}
		if err != nil && !tookTooLong(err) {
			return nil, err
		}
		if !seen {
			positions = append(positions, at)
		}
	}
	return positions, nil
}

// count counts the rows by value, or has the planner's counts where that takes too long.
func (l valuesLook) count(ctx context.Context) (found statusValues, err error) {
	var of int64
	err = l.ask(ctx, l.countTimeout, func(tx pgx.Tx) error {
		return postgres.Names(ctx, tx.Conn(), l.sql(valuesCountSQL), []any{l.source.Accepted},
			func(rows pgx.Rows) (err error) {
				found.counts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (v valueCount, err error) {
					return v, row.Scan(&v.value, &v.rows, &of)
				})
				return err
			})
	})
	found.more = max(0, of-int64(len(found.counts)))
	if !tookTooLong(err) {
		return found, err
	}
	found = statusValues{estimated: true}
	err = l.ask(ctx, valuesTimeout, func(tx pgx.Tx) error {
		args := []any{l.source.OID, l.source.Status.Name}
		return postgres.Names(ctx, tx.Conn(), valuesEstimateSQL, args, func(rows pgx.Rows) (err error) {
			found.counts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (v valueCount, err error) {
				return v, row.Scan(&v.value, &v.rows)
			})
			return err
		})
	})
	return found, err
}

func tookTooLong(err error) bool { return postgres.Code(err) == "57014" }

func (s statusValues) has(value string) bool {
	return slices.ContainsFunc(s.counts, func(c valueCount) bool { return c.value != nil && *c.value == value })
}

// text says which values there are: "status has ACTIVE 4500, CANCELLED 500".
func (s statusValues) text(column string) string {
	if len(s.counts) == 0 {
		return fmt.Sprintf("which values %s has is not known: counting takes more than %v, and ANALYZE has not been run",
			column, valuesTimeout)
	}
	var list []string
	for _, c := range s.counts[:min(len(s.counts), valuesShown)] {
		list = append(list, shownValue(c.value)+" "+strconv.FormatInt(c.rows, 10))
	}
	text := column + " has " + strings.Join(list, ", ")
	if more := s.more + int64(max(0, len(s.counts)-valuesShown)); more > 0 {
		text += fmt.Sprintf(" and %d other values", more)
	}
	if s.estimated {
		text += " (the planner's estimate)"
	}
	return text
}

// shownValue is a value as it may stand in a sentence: short, on one line, and quoted where it has a blank or an odd
// character.
func shownValue(value *string) string {
	if value == nil {
		return "NULL"
	}
	text := strings.TrimRight(postgres.Legible(*value), " ")
	if runes := []rune(text); len(runes) > valueShown {
		text = string(runes[:valueShown]) + "..."
	}
	odd := func(r rune) bool { return r <= ' ' || r == ',' || r == ';' || !strconv.IsPrint(r) }
	if text == "" || strings.ContainsFunc(text, odd) {
		return strconv.Quote(text)
	}
	return text
}

// toldAgain is how long a warning of the accepted values is not repeated in the log.
const toldAgain = 24 * time.Hour

// warnOfValues logs, once a day at most, that no row has an accepted value.
func (c *Capture) warnOfValues(ctx context.Context, conn *pgx.Conn, source *Source) {
	if time.Since(c.toldValues) < toldAgain {
		return
	}
	found, err := InspectValues(ctx, conn, c.config, source)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), context.Canceled):
	case err != nil:
		c.log.Warn("the values of SOURCE_STATUS could not be read", zap.Error(err))
	default:
		c.toldValues = time.Now()
		if found.Level == fault.Warn {
			c.log.Warn("no row has an accepted value", zap.String("fault", string(found.Code)),
				zap.String("reason", found.Message))
		}
	}
}
