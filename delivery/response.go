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

// excerpt reads an answer's body and keeps its beginning, without the secrets that hidden finds in it. An error ends
// the reading and is not an error of the exchange.
func excerpt(body io.Reader, hidden *mask) string {
	if body == http.NoBody {
		return ""
	}
	// A secret that begins in what is kept is read to its end.
	start := make([]byte, min(maxExcerpt+hidden.longest(), maxBody))
	n, err := io.ReadFull(body, start)
	text := string(start[:n])
	if err == nil {
		_, _ = io.CopyN(io.Discard, body, int64(maxBody-n))
		text = hidden.withoutStart(hidden.hide(text, 0))
	}
	return shown(text, hidden)
}

// shown returns the part of a receiver's text that may be stored. It looks for secrets again once the text is
// printable: a secret that came with a NUL in it is found only then.
func shown(text string, hidden *mask) string {
	return cut(hidden.hide(printable([]byte(hidden.hide(text, 0))), 0))
}

// cut keeps the first maxExcerpt bytes, and no part of a character.
func cut(text string) string {
	if len(text) <= maxExcerpt {
		return text
	}
	end := maxExcerpt
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// printable keeps the characters that a log, a page and a Postgres text can hold: valid UTF-8, any white space as one
// blank, and otherwise only visible ones, which leaves out NUL, terminal escapes and direction marks.
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
