package outbox

import (
	"strings"
	"testing"
)

func TestAPlainInsertLacksItsClauseOnly(t *testing.T) {
	t.Parallel()
	const insert = "INSERT INTO t (a)\nSELECT a FROM s\n"
	tests := map[string]struct{ insert, plain string }{
		"none":       {insert, insert},
		"at the end": {insert + "    ON CONFLICT (a) DO NOTHING\n", insert},
		"of several lines": {insert + "    ON CONFLICT (a) DO UPDATE SET b = excluded.b,\n      c = excluded.c\n",
			insert},
		"before RETURNING": {insert + "    ON CONFLICT (a) DO UPDATE\n    SET b = excluded.b\n    RETURNING a\n",
			insert + "    RETURNING a\n"},
		"before the bracket": {"WITH new AS (\n" + insert + "    ON CONFLICT (a) DO NOTHING\n)\nSELECT a FROM new\n",
			"WITH new AS (\n" + insert + ")\nSELECT a FROM new\n"},
	}
	for name, test := range tests {
		if got := plainly(test.insert); got != test.plain {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, sql := range []string{ledgerAddPlainSQL, messagesAddPlainSQL} {
		if strings.Contains(sql, "CONFLICT") || strings.Contains(sql, "excluded") {
			t.Errorf("%q", sql)
		}
	}
}
