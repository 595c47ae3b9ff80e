package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// announcement is what people want to see of a webhook's body.
type announcement struct {
	Type     string `json:"type"`
	Attendee struct {
		ID      json.RawMessage `json:"id"`
		Name    string          `json:"name"`
		Surname string          `json:"surname"`
	} `json:"attendee"`
	Fee *struct {
		Price    json.Number `json:"price"`
		Currency string      `json:"currency"`
	} `json:"fee"`
	Event struct {
		Name string `json:"name"`
	} `json:"event"`
	Group *struct {
		Name string `json:"name"`
	} `json:"group"`
	FormFields          []json.RawMessage `json:"form_fields"`
	AdditionalAttendees []json.RawMessage `json:"additional_attendees"`
}

// Describe shows a received webhook in one line that is safe to print: names come from strangers, and a terminal obeys
// control characters.
func (r Received) Describe() string {
	var parts []string
	var a announcement
	if err := json.Unmarshal(r.Body, &a); err != nil || a.Type == "" {
		parts = append(parts, fmt.Sprintf("%d bytes that are no announcement", len(r.Body)))
	} else {
		parts = append(parts, a.describe()...)
	}
	if r.Verified {
		parts = append(parts, "signature verified")
	} else {
		parts = append(parts, "NOT VERIFIED: "+r.VerifyError.Error())
	}
	return Printable(strings.Join(append(parts, r.ID), " | "))
}

func (a announcement) describe() []string {
	who := fmt.Sprintf("%s: %s %s", a.Type, a.Attendee.Name, a.Attendee.Surname)
	if n := len(a.AdditionalAttendees); n > 0 {
		who += fmt.Sprintf(" + %d more", n)
	}
	parts := []string{who, a.Event.Name}
	if a.Group != nil {
		parts = append(parts, a.Group.Name)
	}
	if a.Fee != nil {
		parts = append(parts, strings.TrimSpace(a.Fee.Price.String()+" "+a.Fee.Currency))
	} else {
		parts = append(parts, "no fee")
	}
	return append(parts, fmt.Sprintf("%d form fields", len(a.FormFields)))
}

// attendee returns the id of the attendee that the body is about; empty: it is about none.
func (r Received) attendee() string {
	var a announcement
	_ = json.Unmarshal(r.Body, &a) // a body that is no announcement has no attendee
	return string(a.Attendee.ID)
}

// Printable replaces everything in text that a terminal could act on: control characters, line ends, characters that
// change the writing direction, and bytes that are no UTF-8. The zero width joiner stays, which emoji are made with.
func Printable(text string) string {
	const zeroWidthJoiner = '\u200d'
	return strings.Map(func(r rune) rune {
		if r != zeroWidthJoiner && unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(text, string(utf8.RuneError)))
}
