package delivery

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"attendee-relay/internal/secret"
)

const (
	// masked replaces a secret in a receiver's text.
	masked = "[redacted]"
	// wordBytes: a text shorter than this is hidden only where it is a word of its own; the text 1 must not hide a digit
	// of every number.
	wordBytes = 4
	// pieceBytes is the minimum length at which a part of a header's value is hidden on its own.
	pieceBytes = 8
)

// mask hides secrets that a receiver sends back, in the notations that error pages use. The zero mask hides nothing.
type mask struct {
	secrets []secret.String
	headers []header
	// texts are the texts to hide, the longest first; they are collected when needed, because most answers have no body.
	texts []string
	found bool
}

// longest is the length of the longest text to hide.
func (m *mask) longest() int {
	if texts := m.list(); len(texts) > 0 {
		return len(texts[0])
	}
	return 0
}

// hide replaces what must not be shown. Texts shorter than shortest stay.
func (m *mask) hide(text string, shortest int) string {
	for _, hidden := range m.list() {
		switch {
		case len(hidden) < shortest:
			return text
		case len(hidden) < wordBytes:
			text = replaceWord(text, hidden)
		default:
			text = strings.ReplaceAll(text, hidden, masked)
		}
	}
	return text
}

// covering is the same exchange, whose error may quote the receiver.
func (m *mask) covering(x Exchange) Exchange {
	if x.Attempt.Error != "" {
		x.Attempt.Error = m.hide(x.Attempt.Error, pieceBytes)
	}
	return x
}

// withoutStart takes the beginning of a secret from the end of a text that was cut off there.
func (m *mask) withoutStart(text string) string {
	for _, hidden := range m.list() {
		for n := min(len(hidden)-1, len(text)); n > 0; n-- {
			if strings.HasSuffix(text, hidden[:n]) {
				text = text[:len(text)-n]
				break
			}
		}
	}
	return text
}

func (m *mask) list() []string {
	if m == nil {
		return nil
	}
	if m.found {
		return m.texts
	}
	m.found = true
	for _, s := range m.secrets {
		for _, one := range strings.Fields(s.Reveal()) {
			m.add(one)
			if encoded, marked := strings.CutPrefix(one, secretPrefix); marked {
				m.add(encoded)
				m.addDecoded(encoded)
			}
		}
	}
	for _, h := range m.headers {
		m.addValue(h.value)
	}
	slices.SortFunc(m.texts, func(a, b string) int { return len(b) - len(a) })
	return m.texts
}

// addValue adds a header's value, its parts (the token after Bearer), and what Basic carries encoded.
func (m *mask) addValue(value string) {
	value = strings.TrimSpace(value)
	m.add(value)
	for _, part := range strings.FieldsFunc(value, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`;,="`, r)
	}) {
		if len(part) >= pieceBytes {
			m.add(part)
		}
	}
	if scheme, encoded, found := strings.Cut(value, " "); found {
		m.add(strings.TrimSpace(encoded))
		if strings.EqualFold(scheme, "Basic") {
			m.addDecoded(strings.TrimSpace(encoded))
		}
	}
}

// addDecoded adds the text that base64 encodes, if it is one, and the password in user:password.
func (m *mask) addDecoded(encoded string) {
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !utf8.Valid(decoded) {
		return
	}
	m.add(string(decoded))
	if _, password, found := strings.Cut(string(decoded), ":"); found && len(password) >= wordBytes {
		m.add(password)
	}
}

// add adds a text in each of its notations: plain, in JSON (with and without the extra escapes of PHP, Go and Python),
// HTML and a query.
func (m *mask) add(text string) {
	quoted, _ := json.Marshal(text) // a string always has its JSON
	escaped := strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`)
	for _, form := range []string{text, escaped, string(quoted[1 : len(quoted)-1]),
		strings.Trim(strconv.QuoteToASCII(text), `"`)} {
		m.addForm(form)
		m.addForm(strings.ReplaceAll(form, "/", `\/`))
	}
	for _, form := range []string{printable([]byte(text)), html.EscapeString(text), url.QueryEscape(text),
		url.PathEscape(text)} {
		m.addForm(form)
	}
}

func (m *mask) addForm(form string) {
	if form != "" && !slices.Contains(m.texts, form) {
		m.texts = append(m.texts, form)
	}
}

// replaceWord hides a short text where neither letter nor digit touches it.
func replaceWord(text, word string) string {
	var out strings.Builder
	from := 0
	for {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return out.String() + text[from:]
		}
		start, end := from+at, from+at+len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:start])
		after, _ := utf8.DecodeRuneInString(text[end:])
		out.WriteString(text[from:start])
		if wordRune(before) || wordRune(after) {
			out.WriteString(word)
		} else {
			out.WriteString(masked)
		}
		from = end
	}
}

func wordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}
