package outbox

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// charmaps are the database encodings of one byte a character, by Postgres's names (PostgreSQL 14-18, table 24.3).
// Of those with more bytes only ASCII is taken for storable: Go's tables and Postgres's differ.
var charmaps = map[string]*charmap.Charmap{
	"LATIN1": charmap.ISO8859_1, "LATIN2": charmap.ISO8859_2, "LATIN3": charmap.ISO8859_3, "LATIN4": charmap.ISO8859_4,
	"LATIN5": charmap.ISO8859_9, "LATIN6": charmap.ISO8859_10, "LATIN7": charmap.ISO8859_13, "LATIN8": charmap.ISO8859_14,
	"LATIN9": charmap.ISO8859_15, "LATIN10": charmap.ISO8859_16, "ISO_8859_5": charmap.ISO8859_5,
	"ISO_8859_6": charmap.ISO8859_6, "ISO_8859_7": charmap.ISO8859_7, "ISO_8859_8": charmap.ISO8859_8,
	"WIN866": charmap.CodePage866, "WIN874": charmap.Windows874, "WIN1250": charmap.Windows1250,
	"WIN1251": charmap.Windows1251, "WIN1252": charmap.Windows1252, "WIN1253": charmap.Windows1253,
	"WIN1254": charmap.Windows1254, "WIN1255": charmap.Windows1255, "WIN1256": charmap.Windows1256,
	"WIN1257": charmap.Windows1257,
	"WIN1258": charmap.Windows1258, "KOI8R": charmap.KOI8R, "KOI8U": charmap.KOI8U,
}

// unassigned are the characters that Go's table of an encoding has and Postgres's lacks.
var unassigned = map[string]string{"WIN1255": "\u05ba", "KOI8U": "\u045e\u040e"}

// storable is a text from outside (a receiver's answer, an error) as a database of this encoding can hold it: what
// is no UTF-8, NUL, and characters that the encoding lacks are written as escapes: \x81, \u017c, \U0001f389. What
// Postgres itself gave as UTF-8 needs none of this.
func storable(encoding, text string) string {
	if strings.IndexByte(text, 0) < 0 && (isASCII(text) || encoding == "UTF8" && utf8.ValidString(text)) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"), r == 0:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case holds(encoding, r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// holds reports whether a database of this encoding can hold a character.
func holds(encoding string, r rune) bool {
	switch {
	case r < utf8.RuneSelf, encoding == "UTF8", encoding == "SQL_ASCII": // SQL_ASCII holds any bytes
		return true
	case r < 0xa0: // controls, of which Postgres's tables have fewer
		return false
	}
	if table := charmaps[encoding]; table != nil {
		_, ok := table.EncodeRune(r)
		return ok && !strings.ContainsRune(unassigned[encoding], r)
	}
	return false
}

// storableURL is an exact URL as a database of this encoding can hold it: where it lacks a character, all beyond
// ASCII are percent-encoded, as they are when it is sent.
func storableURL(encoding, url string) string {
	if storable(encoding, url) == url {
		return url
	}
	var b strings.Builder
	for _, c := range []byte(url) {
		if c < utf8.RuneSelf && c != 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
