// Package secret keeps passwords, tokens, signing keys and URLs that carry them from being printed by accident.
//
// It turns a plain string into a value that every formatting, logging and encoding path shows as "[redacted]"; only
// Reveal gives the text back. Every package that holds a credential uses it.
package secret

import "fmt"

const redacted = "[redacted]"

// String holds a secret text. Its zero value is the empty secret.
type String struct{ text string }

// New wraps text.
func New(text string) String { return String{text: text} }

// Reveal returns the text itself. Call it only where the text is used, never where it could be logged.
func (s String) Reveal() string { return s.text }

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
	s.text = string(text)
	return nil
}
