package outbox

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestSafeMessageNamesNoValue(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, code, message, want string }{
		{"a cast", "22P02", `invalid input syntax for type bigint: "jane@doe.org"`,
			"invalid input syntax for type bigint (value not shown) (SQLSTATE 22P02)"},
		{"a cast, said in German", "22P02", `ungültige Eingabesyntax für Typ bigint: »jane@doe.org«`,
			"ungültige Eingabesyntax für Typ bigint (value not shown) (SQLSTATE 22P02)"},
		{"raised by a function", "P0001", "no such person: jane@doe.org",
			"it raised an error (message not shown) (SQLSTATE P0001)"},
		{"raised with a code of its own", "ZZ001", "jane@doe.org", "it raised an error (message not shown) (SQLSTATE ZZ001)"},
		{"a missing table", "42P01", `relation "public.fees" does not exist`,
			`relation "public.fees" does not exist (SQLSTATE 42P01)`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := safeMessage(&pgconn.PgError{Code: c.code, Message: c.message})
			if got != c.want || strings.Contains(got, "jane") {
				t.Errorf("safeMessage = %q, want %q", got, c.want)
			}
		})
	}
}
