package delivery

import (
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxBody is read of an answer at most, so that a short one leaves its connection usable; maxExcerpt is kept of it.
	maxBody    = 64 << 10
	maxExcerpt = 2 << 10
)

// excerpt reads an answer's body and keeps its beginning. An error ends the reading and is not one of the exchange.
func excerpt(body io.Reader) string {
	if body == http.NoBody {
		return ""
	}
	start := make([]byte, maxExcerpt)
	n, err := io.ReadFull(body, start)
	if err == nil {
		_, _ = io.CopyN(io.Discard, body, maxBody-maxExcerpt)
	}
	return printable(start[:n])
}

// printable keeps what a log, a page and a Postgres text can hold: valid UTF-8, any white space as one blank, and of the
// rest only what is visible, which leaves out NUL, terminal escapes and direction marks.
func printable(raw []byte) string {
	var text strings.Builder
	blank := true
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		raw = raw[size:]
		switch {
		case unicode.IsSpace(r):
			if !blank {
				text.WriteByte(' ')
			}
			blank = true
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r):
		default:
			text.WriteRune(r)
			blank = false
		}
	}
	return strings.TrimSuffix(text.String(), " ")
}
