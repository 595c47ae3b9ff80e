package outbox

import "bytes"

// appendCompact appends JSON without the white space between its tokens. Postgres has made sure that it is JSON: json
// and jsonb hold nothing else (PostgreSQL 14-18, 8.14); a library would check it again, byte by byte.
func appendCompact(b, text []byte) []byte {
	for len(text) > 0 {
		switch text[0] {
		case ' ', '\t', '\r', '\n':
			text = text[1:]
		case '"':
			end := stringEnd(text)
			b, text = append(b, text[:end]...), text[end:]
		default:
			b, text = append(b, text[0]), text[1:]
		}
	}
	return b
}

// stringEnd returns the end of the JSON string with which text begins: after the next quotation mark that no backslash
// escapes.
func stringEnd(text []byte) int {
	for at := 1; ; {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			return len(text)
		}
		escape := bytes.IndexByte(text[at:at+quote], '\\')
		if escape < 0 {
			return at + quote + 1
		}
		at += escape + 2
	}
}
