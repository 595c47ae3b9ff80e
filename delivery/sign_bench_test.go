package delivery

import (
	"strings"
	"testing"

	"attendee-relay/internal/secret"
)

func BenchmarkSignature(b *testing.B) {
	for _, c := range []struct {
		name   string
		own    string
		shared []string
	}{
		{"shared", "", []string{vectorSecret}},
		{"two_while_rotating", "", []string{vectorSecret, otherSecret}},
		{"own", otherSecret, []string{vectorSecret}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := mustSigner(b, c.shared...)
			m := newMessage("https://example.org")
			m.Payload, m.Secret = []byte(strings.Repeat("x", 800)), secret.New(c.own)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.signature(&m, vectorTimestamp); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
