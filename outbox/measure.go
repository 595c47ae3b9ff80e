package outbox

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

const (
	// skeleton is about what a body takes without its values; with integer ids it is less than twice as much.
	skeleton = 256
	// longestExponent is how many digits an exponent adds to a price at most.
	longestExponent = 400
)

// boundedBody is body for a body of at most limit bytes. Of a larger one it returns the size, and no body.
func (c columns) boundedBody(values [][]byte, limit int) (body []byte, excess int, err error) {
	most := 2*skeleton + longestExponent + len(values[c.price])
	for _, at := range c.texts {
		most += 6 * len(values[at]) // as \u001f at worst
	}
	for _, at := range c.arrays {
		most += len(values[at])
	}
	if most > limit {
		size, err := c.measure(values)
		if err != nil || size > limit {
			return nil, size, err
		}
	}
	body, err = c.body(values)
	return body, 0, err
}

// measure returns how many bytes body would write, and its error, and takes no room for them.
func (c columns) measure(values [][]byte) (size int, err error) {
	light := slices.Clone(values)
	for _, at := range c.texts {
		if len(values[at]) > 0 && c.written(at, values) {
			light[at] = values[at][:0]
			size += textSize(values[at])
		}
	}
	for _, at := range c.arrays {
		if trimmed := bytes.TrimLeft(values[at], jsonSpace); len(trimmed) > 0 && trimmed[0] == '[' {
			light[at] = trimmed[:1]
			size += compactSize(trimmed) - 1
		}
	}
	body, err := c.body(light)
	return len(body) + size, err
}

// written reports whether the body has a text: not a currency without a price, and not a group's name without its id.
func (c columns) written(at int, values [][]byte) bool {
	switch at {
	case c.currency:
		return values[c.price] != nil
	case c.groupName:
		return c.groupID >= 0 && values[c.groupID] != nil
	default:
		return true
	}
}

// textSize returns how many bytes appendText writes between the quotation marks.
func textSize(text []byte) (size int) {
	for len(text) > 0 {
		c := text[0]
		switch {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			size += 2
		case c < 0x20:
			size += 6
		case c < utf8.RuneSelf:
			size++
		default:
			r, n := utf8.DecodeRune(text)
			size += utf8.RuneLen(r)
			text = text[n:]
			continue
		}
		text = text[1:]
	}
	return size
}

// compactSize returns how many bytes appendCompact writes.
func compactSize(text []byte) (size int) {
	for len(text) > 0 {
		n, kept := 1, 1
		switch text[0] {
		case ' ', '\t', '\r', '\n':
			kept = 0
		case '"':
			n = stringEnd(text)
			kept = n
		}
		size += kept
		text = text[n:]
	}
	return size
}
