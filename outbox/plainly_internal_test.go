package outbox

import (
	"strings"
	"testing"
)

func TestPlainly(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][2]string{"messages": {messagesAddSQL, messagesAddPlainSQL},
		"ledger": {ledgerAddSQL, ledgerAddPlainSQL}} {
		if !strings.Contains(statements[0], "ON CONFLICT") || strings.Contains(statements[1], "ON CONFLICT") ||
			len(statements[1]) < len(statements[0])-160 {
			t.Errorf("%s: %s", name, statements[1])
		}
	}
}
