package outbox

import (
	"bytes"
	"encoding/json"
	"testing"
)

func FuzzCompact(f *testing.F) {
	for _, text := range []string{
		`[]`, `[ ]`, "[{\"a\" : 1}, \n {\"a\" : \" b  c \"}]", `["\\", "\"", "\\\" , ", " \\\\" , 1.5e3]`, `"\""`, `""`,
		`[{"id": 45, "type": "text", "label": "Diät\u00e4 ", "value": null}]`, ` { "a" : [ true , false , null ] } `,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want bytes.Buffer
		if json.Compact(&want, text) != nil {
			appendCompact(nil, text) // Postgres has none such; it must end
			return
		}
		if got := appendCompact([]byte("before"), text); string(got) != "before"+want.String() {
			t.Errorf("%q: got %q, want %q", text, got, want.String())
		}
	})
}
