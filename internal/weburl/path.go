package weburl

import "strings"

// The characters other than letters and digits that RFC 3986 allows in a segment of a path and in a query. Brackets are
// left in a query, where every server takes them and forms put them (a[]=1); the apostrophe is encoded there, as
// browsers do.
const (
	inSegment = "-._~!$&'()*+,;=:@"
	inQuery   = "-._~!$&()*+,;=:@/?[]"
)

const upperHex = "0123456789ABCDEF"

// encode percent-encodes what is not allowed. An escape that is there already stays; a percent sign that begins none is
// encoded.
func encode(text, allowed string) string {
	clean := 0
	for clean < len(text) && stays(text, clean, allowed) {
		clean++
	}
	if clean == len(text) {
		return text
	}
	out := make([]byte, clean, len(text)+16)
	copy(out, text)
	for i := clean; i < len(text); i++ {
		c := text[i]
		if stays(text, i, allowed) {
			out = append(out, c)
		} else {
			out = append(out, '%', upperHex[c>>4], upperHex[c&0xf])
		}
	}
	return string(out)
}

// stays reports whether the byte at i is sent as it is.
func stays(text string, i int, allowed string) bool {
	switch c := text[i]; {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == '%':
		return i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2])
	default:
		return strings.IndexByte(allowed, c) >= 0
	}
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// dots returns a dot segment without its escapes, and anything else that is no dot segment.
func dots(segment string) string {
	if segment == "" || len(segment) > len("%2e%2e") || segment[0] != '.' && segment[0] != '%' {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
}

// path encodes a path and resolves its dot segments, written as escapes too. A backslash is a slash.
func path(text string) string {
	text = strings.TrimPrefix(strings.ReplaceAll(text, `\`, "/"), "/")
	segments := strings.Split(text, "/")
	kept := make([]string, 0, len(segments))
	for i, segment := range segments {
		last := i == len(segments)-1
		switch dots(segment) {
		case "..":
			kept = kept[:max(0, len(kept)-1)]
			if last {
				kept = append(kept, "")
			}
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, encode(segment, inSegment))
		}
	}
	return "/" + strings.Join(kept, "/")
}
