package outbox

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
)

//go:embed sql/reference_query.sql
var referenceQuery string

// statementName is the payload query's on each connection that runs it.
const statementName = "attendee_relay_payload"

// requiredColumns and optionalColumns are what the payload query may give, by name; others are ignored.
var (
	requiredColumns = []string{"key", "attendee_id", "name", "surname", "email", "price", "currency", "event_id",
		"event_name"}
	arrayColumns = []string{"form_fields", "additional_attendees"}
)

// query is the payload query: the one place that knows the operator's schema.
type query struct {
	sql string
	// path says under which search_path it is read and run.
	path string
}

// The search_path of a payload query, set for the transaction under way. An operator's query has that of the role, the
// database or the connection string, as in psql: DEFAULT is what the session began with. The embedded one is ours.
const (
	operatorsPath = "SET LOCAL search_path TO DEFAULT"
	ourPath       = "SET LOCAL search_path TO " + postgres.OwnPath
)

// newQuery reads the payload query that the configuration names.
func newQuery(c Config) (*query, error) {
	switch {
	case c.QueryFile != "":
		text, err := os.ReadFile(c.QueryFile)
		if err != nil {
			return nil, fmt.Errorf("reading the payload query (SOURCE_QUERY_FILE): %w", err)
		}
		return &query{sql: string(text), path: operatorsPath}, nil
	case c.Query != "":
		return &query{sql: c.Query, path: operatorsPath}, nil
	default:
		return &query{sql: referenceQuery, path: ourPath}, nil
	}
}

// prepare has Postgres parse the query under its own search_path, in the open transaction or in one of its own.
// Afterwards the session's search_path is ours again.
func (q *query) prepare(ctx context.Context, conn *pgx.Conn, name string) (*pgconn.StatementDescription, error) {
	inside := conn.PgConn().TxStatus() != 'I'
	enter, leave := q.path, ourPath
	if !inside {
		enter, leave = "BEGIN READ ONLY; "+q.path, "ROLLBACK"
	}
	if _, err := conn.PgConn().Exec(ctx, enter).ReadAll(); err != nil {
		return nil, err
	}
	described, err := conn.PgConn().Prepare(ctx, name, q.sql, nil)
	if postgres.Unconvertible(err) {
		_ = conn.PgConn().Deallocate(ctx, name) // it may have been parsed, and only its columns not be told
	}
	if err != nil && inside {
		return nil, err // the caller rolls back
	}
	if _, failed := conn.PgConn().Exec(ctx, leave).ReadAll(); err == nil {
		err = failed
	}
	return described, err
}

// insufficientPrivilege is the SQLSTATE of a right that is missing.
const insufficientPrivilege = "42501"

// saysNothing reports whether err is not about the query: the server did not answer, lacked memory or space, or a table
// was locked.
func saysNothing(err error) bool {
	code := postgres.Code(err)
	return code == "" || postgres.Unreachable(err) || slices.Contains([]string{"53", "55", "57"}, code[:2])
}

// describe prepares the query on conn and checks its parameter and columns, without running it.
func (q *query) describe(ctx context.Context, conn *pgx.Conn) error {
	described, err := q.prepare(ctx, conn, statementName)
	if err != nil {
		// A missing right is for the caller to name.
		if saysNothing(err) || postgres.Code(err) == insufficientPrivilege {
			return fmt.Errorf("preparing the payload query: %w", err)
		}
		if postgres.Unconvertible(err) {
			return invalid("it has characters that the database's encoding lacks, or gives a column whose name is not "+
				"UTF-8 (name the columns that it needs, in place of *): %s", safeMessage(err))
		}
		return invalid("Postgres refuses it: %s", safeMessage(err))
	}
	if err := q.checkShape(ctx, conn, described); err != nil {
		_ = conn.PgConn().Deallocate(ctx, statementName)
		return err
	}
	return nil
}

func (q *query) checkShape(ctx context.Context, conn *pgx.Conn, described *pgconn.StatementDescription) error {
	if len(described.ParamOIDs) != 1 {
		return invalid("it has %d parameters and must have one, $1, the array of keys", len(described.ParamOIDs))
	}
	var category string
	const categorySQL = "SELECT typcategory::text FROM pg_catalog.pg_type WHERE oid = $1"
	err := conn.QueryRow(ctx, categorySQL, described.ParamOIDs[0]).Scan(&category)
	if err != nil {
		return fmt.Errorf("reading the type of the payload query's parameter: %w", err)
	}
	if category != "A" {
		return invalid("$1 must be cast to an array, as in = ANY ($1::bigint[])")
	}
	if len(described.Fields) == 0 {
		return invalid("it returns no columns: it must be one SELECT")
	}
	seen := map[string]uint32{}
	for _, field := range described.Fields {
		if _, twice := seen[field.Name]; twice && known(field.Name) {
			return invalid("it has two columns named %s", field.Name)
		}
		seen[field.Name] = field.DataTypeOID
	}
	var missing []string
	for _, name := range requiredColumns {
		if _, ok := seen[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return invalid("it lacks the column(s) %s", strings.Join(missing, ", "))
	}
	for _, name := range append([]string{"headers"}, arrayColumns...) {
		if oid, ok := seen[name]; ok && oid != pgtype.JSONOID && oid != pgtype.JSONBOID {
			return invalid("column %s must be json or jsonb", name)
		}
	}
	return nil
}

func known(name string) bool {
	return slices.Contains(requiredColumns, name) || slices.Contains(arrayColumns, name) ||
		slices.Contains([]string{"webhook_url", "secret", "headers", "delivery_key", "group_id", "group_name"}, name)
}

func invalid(format string, args ...any) *fault.Fault {
	return fault.New(fault.QueryInvalid, "the payload query cannot be used: "+format, args...).
		WithFix("correct SOURCE_QUERY_FILE or SOURCE_QUERY")
}

// run executes the query for these keys inside conn's open transaction, under these settings, and rolls the transaction
// back: all in one round trip. After an error the caller still has to roll it back. All values come back as text, so
// that none passes through another form. An answer above the bounds is an answerError, and the connection is closed.
func (q *query) run(ctx context.Context, conn *pgx.Conn, settings [][]byte, keys []string, within bounds,
) (found *answer, err error) {
	found = &answer{bounds: within}
	pipeline := conn.PgConn().StartPipeline(ctx)
	pipeline.SendQueryParams(payloadSettingsSQL, settings, nil, nil, nil)
	pipeline.SendQueryParams(q.path, nil, nil, nil, nil)
	pipeline.SendQueryPrepared(statementName, [][]byte{arrayLiteral(keys)}, nil, nil)
	pipeline.SendQueryParams("ROLLBACK", nil, nil, nil, nil)
	err = pipeline.Sync()
	for question := 0; err == nil; question++ {
		var results any
		if results, err = pipeline.GetResults(); err != nil || results == nil {
			break
		}
		result, isResult := results.(*pgconn.ResultReader)
		if !isResult {
			continue // the end of the trip
		}
		if question == 2 {
			found.columns = newColumns(result.FieldDescriptions())
			for err == nil && result.NextRow() {
				err = found.add(result.Values())
			}
		}
		if err != nil {
			_ = conn.Close(ctx) // rather than read the rest
			break
		}
		_, err = result.Close()
	}
	if closed := pipeline.Close(); err == nil {
		err = closed
	}
	return found, tooLarge(err)
}

// arrayLiteral writes keys as one array literal in text form; the query's cast gives it its type.
func arrayLiteral(keys []string) []byte {
	literal := []byte{'{'}
	for i, key := range keys {
		if i > 0 {
			literal = append(literal, ',')
		}
		literal = append(literal, '"')
		for j := range len(key) {
			if key[j] == '"' || key[j] == '\\' {
				literal = append(literal, '\\')
			}
			literal = append(literal, key[j])
		}
		literal = append(literal, '"')
	}
	return append(literal, '}')
}

// safeMessage returns the message of Postgres if it is about the query and not about data: messages of the classes 22
// and 23 quote the value (in the quotation marks of the server's language), and a function may raise any text.
func safeMessage(err error) string {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return "the query failed"
	}
	message := pgErr.Message
	switch pgErr.Code[:min(2, len(pgErr.Code))] {
	case "22", "23":
		if at := strings.IndexAny(message, "\"'`«»„“”‘’‹›"); at >= 0 {
			message = strings.TrimRight(message[:at], " :") + " (value not shown)"
		}
	case "42", "0A", "25", "53", "54", "55", "57":
	default:
		message = "it raised an error (message not shown)"
	}
	return message + " (SQLSTATE " + pgErr.Code + ")"
}
