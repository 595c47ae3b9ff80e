// Package secret keeps passwords, tokens, signing keys and URLs that carry them from being printed by accident.
//
// It turns a plain string into a value that every formatting, logging and encoding path shows as "[redacted]"; only
// Reveal and Read give the text back. Every package that holds a credential uses it.
package secret

import "fmt"

const redacted = "[redacted]"

// String holds a secret text, and where it came from. Its zero value is the empty secret. Compare secrets with Equal:
// two of the same text may have come from different places.
type String struct {
	text   string
	origin *origin
}

// origin is where a secret came from: the variable that was set, and how to read it again where that is a file.
type origin struct {
	variable string
	read     func() (string, error)
}

// New wraps text.
func New(text string) String { return String{text: text} }

// From returns the secret of the environment variable of this name. read reads it again, as often as it is needed; nil
// if it cannot change. Its errors must not hold the text.
func (s String) From(variable string, read func() (string, error)) String {
	return String{s.text, &origin{variable, read}}
}

// Variable is the name of the environment variable that was set, for messages; "" where it is not known.
func (s String) Variable() string {
	if s.origin == nil {
		return ""
	}
	return s.origin.variable
}

// Reveal returns the text as it was at the start. Call it only where the text is used, never where it could be logged.
func (s String) Reveal() string { return s.text }

// Read returns the text as it is now: a file is read again, so that a password can be changed without a restart. As for
// Reveal, call it only where the text is used.
func (s String) Read() (string, error) {
	if s.origin == nil || s.origin.read == nil {
		return s.text, nil
	}
	return s.origin.read()
}

// Equal reports whether two secrets had the same text at the start.
func (s String) Equal(other String) bool { return s.text == other.text }

// IsZero reports whether there is no secret.
func (s String) IsZero() bool { return s.text == "" }

// String implements fmt.Stringer without showing the text.
func (s String) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format hides the text from every verb, %#v included.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalText hides the text from encoders (JSON, zap's reflection).
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the text, so that configuration can be decoded straight into a secret.
func (s *String) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}
