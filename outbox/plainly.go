package outbox

import "strings"

// uniqueViolation is the SQLSTATE for a row that is there already.
const uniqueViolation = "23505"

// plainly returns an INSERT without its ON CONFLICT clause, for rows that cannot exist yet. For the clause Postgres
// looks for each row first, writes it as one that may have to be taken back, and confirms it in the WAL (PostgreSQL
// 14-18): a fifth of the row's cost. If a row exists after all, nothing is written (uniqueViolation), and the statement
// with its clause has to follow. The clause begins a line; it ends with the statement, or before a line of RETURNING or
// a closing parenthesis.
func plainly(insert string) string {
	var plain strings.Builder
	clause := false
	for line := range strings.Lines(insert) {
		text := strings.TrimLeft(line, " ")
		switch {
		case strings.HasPrefix(text, "ON CONFLICT "):
			clause = true
		case strings.HasPrefix(text, "RETURNING "), strings.HasPrefix(text, ")"):
			clause = false
		}
		if !clause {
			plain.WriteString(line)
		}
	}
	return plain.String()
}
