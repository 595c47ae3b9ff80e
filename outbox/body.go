package outbox

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"attendee-relay/internal/weburl"
)

// payload is one row of the payload query: what a message says and where it goes.
type payload struct {
	key         string
	deliveryKey string
	attendeeID  string
	eventID     string
	url         string
	// secret is as the query gave it; empty where it gave none, blankSecret where it gave a blank one.
	secret string
	// headers is a JSON value, not looked at; empty: none.
	headers string
	body    []byte
	// excess is the size of a body that is larger than those that are kept; it is not there then.
	excess int
	// err says why the row cannot be a message; its key then waits.
	err error
}

var errWords = errors.New(
	"the payload query gave a row whose ids, webhook_url, secret and headers take more than 128 KiB")

// blankSecret marks a secret that is present but blank: it must not pass for a missing one.
const blankSecret = " "

// A text longer than maxStoredHeaders has more headers than may be sent, whatever its notation; longHeaders, which is
// not an object, is stored in its place.
const (
	maxStoredHeaders = 64 << 10
	longHeaders      = `"more than 64 KiB"`
)

// storedHeaders is the value of the column headers as it is kept, NULL and JSON's null as nothing.
func storedHeaders(value []byte) string {
	switch {
	case len(value) == 0 || bytes.Equal(value, []byte("null")):
		return ""
	case len(value) <= maxStoredHeaders:
		return string(value)
	}
	if compact := appendCompact(nil, value); len(compact) <= maxStoredHeaders {
		return string(compact)
	}
	return longHeaders
}

// columns says at which places of a result row the columns of the payload query stand; -1: not there.
type columns struct {
	key, attendeeID, name, surname, email, price, currency, eventID, eventName    int
	url, secret, headers, deliveryKey, groupID, groupName, formFields, additional int
	integer                                                                       []bool
	// texts and arrays are the places of what a body has as strings and as JSON arrays.
	texts, arrays []int
}

func newColumns(fields []pgconn.FieldDescription) columns {
	at := func(name string) int {
		for i, field := range fields {
			if field.Name == name {
				return i
			}
		}
		return -1
	}
	c := columns{
		key: at("key"), attendeeID: at("attendee_id"), name: at("name"), surname: at("surname"), email: at("email"),
		price: at("price"), currency: at("currency"), eventID: at("event_id"), eventName: at("event_name"),
		url: at("webhook_url"), secret: at("secret"), headers: at("headers"), deliveryKey: at("delivery_key"),
		groupID: at("group_id"), groupName: at("group_name"), formFields: at("form_fields"),
		additional: at("additional_attendees"),
	}
	for _, field := range fields {
		oid := field.DataTypeOID
		c.integer = append(c.integer, oid == pgtype.Int2OID || oid == pgtype.Int4OID || oid == pgtype.Int8OID)
	}
	words := []int{c.name, c.surname, c.email, c.currency, c.eventName, c.groupName}
	for _, at := range append(words, c.attendeeID, c.eventID, c.groupID) {
		if at >= 0 && !c.integer[at] {
			c.texts = append(c.texts, at)
		}
	}
	c.arrays = slices.DeleteFunc([]int{c.formFields, c.additional}, func(at int) bool { return at < 0 })
	return c
}

// words returns the size of the row's texts in bytes, without the body.
func (p *payload) words() int {
	return len(p.key) + len(p.deliveryKey) + len(p.attendeeID) + len(p.eventID) + len(p.url) + len(p.secret) +
		len(p.headers)
}

// payload reads one result row, whose values are valid only during the call. maxBody is the most bytes of a body to
// keep.
func (c columns) payload(values [][]byte, maxBody int) payload {
	text := func(at int) string {
		if at < 0 {
			return ""
		}
		return string(values[at])
	}
	p := payload{
		key: text(c.key), deliveryKey: text(c.deliveryKey), attendeeID: text(c.attendeeID), eventID: text(c.eventID),
		url: text(c.url),
	}
	if weburl.Trim(p.url) == "" { // blank, to whoever looks at it
		p.url = ""
	}
	if c.secret >= 0 && values[c.secret] != nil {
		p.secret = cmp.Or(strings.TrimSpace(text(c.secret)), blankSecret)
	}
	if c.headers >= 0 {
		p.headers = storedHeaders(values[c.headers])
	}
	if c.deliveryKey < 0 || values[c.deliveryKey] == nil {
		p.deliveryKey = p.key
	}
	switch {
	case p.words()-len(p.key)-len(p.deliveryKey) > maxWords:
		p = payload{key: p.key, err: errWords}
	case values[c.attendeeID] == nil:
		p.err = errors.New("the payload query gave a row whose attendee_id is NULL")
	case values[c.eventID] == nil:
		p.err = errors.New("the payload query gave a row whose event_id is NULL")
	default:
		p.body, p.excess, p.err = c.boundedBody(values, maxBody)
	}
	return p
}

// body writes the message's body: compact JSON in the contract's key order, without HTML escaping.
func (c columns) body(values [][]byte) ([]byte, error) {
	size := skeleton
	for _, at := range c.texts {
		size += len(values[at])
	}
	for _, at := range c.arrays {
		size += len(values[at])
	}
	b := make([]byte, 0, size)
	b = append(b, `{"type":"attendee_accepted","attendee":{"id":`...)
	b = c.appendID(b, values, c.attendeeID)
	b = append(b, `,"name":`...)
	b = appendText(b, values[c.name])
	b = append(b, `,"surname":`...)
	b = appendText(b, values[c.surname])
	b = append(b, `,"email":`...)
	b = appendText(b, values[c.email])
	b = append(b, `},"fee":`...)
	if price := values[c.price]; price == nil {
		b = append(b, "null"...)
	} else {
		decimal, err := shortestDecimal(string(price))
		if err != nil {
			return nil, err
		}
		b = append(b, `{"price":`...)
		b = append(b, decimal...)
		b = append(b, `,"currency":`...)
		b = appendText(b, values[c.currency])
		b = append(b, '}')
	}
	b = append(b, `,"event":{"id":`...)
	b = c.appendID(b, values, c.eventID)
	b = append(b, `,"name":`...)
	b = appendText(b, values[c.eventName])
	b = append(b, `},"group":`...)
	if c.groupID < 0 || values[c.groupID] == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, `{"id":`...)
		b = c.appendID(b, values, c.groupID)
		b = append(b, `,"name":`...)
		if c.groupName < 0 {
			b = append(b, "null"...)
		} else {
			b = appendText(b, values[c.groupName])
		}
		b = append(b, '}')
	}
	b, err := c.appendArray(append(b, `,"form_fields":`...), values, c.formFields, "form_fields")
	if err != nil {
		return nil, err
	}
	b, err = c.appendArray(append(b, `,"additional_attendees":`...), values, c.additional, "additional_attendees")
	return append(b, '}'), err
}

// appendID writes an integer id as a number and any other as a string.
func (c columns) appendID(b []byte, values [][]byte, at int) []byte {
	if c.integer[at] {
		return append(b, values[at]...)
	}
	return appendText(b, values[at])
}

func (c columns) appendArray(b []byte, values [][]byte, at int, name string) ([]byte, error) {
	if at < 0 || values[at] == nil || bytes.Equal(values[at], []byte("null")) {
		return append(b, "[]"...), nil
	}
	if trimmed := bytes.TrimLeft(values[at], jsonSpace); len(trimmed) == 0 || trimmed[0] != '[' {
		return nil, fmt.Errorf("column %s of the payload query is not a JSON array", name)
	}
	return appendCompact(b, values[at]), nil
}

// jsonSpace is the white space between the tokens of JSON.
const jsonSpace = " \t\r\n"

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string, or null. Only what JSON demands is escaped (RFC 8259, section 7).
func appendText(b, text []byte) []byte {
	if text == nil {
		return append(b, "null"...)
	}
	b = append(b, '"')
	for len(text) > 0 {
		c := text[0]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, size := utf8.DecodeRune(text)
			b = utf8.AppendRune(b, r) // a database that is not UTF-8 inside cannot put an invalid byte into the body
			text = text[size:]
			continue
		}
		text = text[1:]
	}
	return append(b, '"')
}

// longestDecimal is more than any numeric takes (PostgreSQL 14-18: 131072 digits before the point and 16383 after it).
const longestDecimal = 150_000

// shortestDecimal writes a number without trailing zeros and without an exponent, exactly: 100.00 is 100, 0.10 is 0.1.
func shortestDecimal(text string) (string, error) {
	if len(text) > longestDecimal {
		return "", errors.New("column price of the payload query is not a decimal number")
	}
	mantissa, exponent := strings.TrimSpace(text), 0
	if at := strings.IndexAny(mantissa, "eE"); at >= 0 {
		e, err := strconv.Atoi(mantissa[at+1:])
		if err != nil || e < -400 || e > 400 {
			return "", errors.New("column price of the payload query is not a decimal number")
		}
		mantissa, exponent = mantissa[:at], e
	}
	negative := strings.HasPrefix(mantissa, "-")
	mantissa = strings.TrimLeft(mantissa, "+-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return "", errors.New("column price of the payload query is not a decimal number")
	}
	point := len(whole) + exponent
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	whole, fraction = strings.TrimLeft(digits[:point], "0"), strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	if negative && (whole != "0" || fraction != "") {
		whole = "-" + whole
	}
	if fraction == "" {
		return whole, nil
	}
	return whole + "." + fraction, nil
}
