package demo

import (
	_ "embed"
	"fmt"
	"net/url"
)

// Access makes the relay's role and its rights in a database with the reference schema: the statements of the README's
// second step.
//
//go:embed access.sql
var Access string

// RelayURL is the address of a database, which holds what Access makes, for the relay's role.
func RelayURL(databaseURL string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", fmt.Errorf("reading the address of the demo's database: it is no URL") // the cause would repeat it
	}
	u.User = url.UserPassword("attendee_relay", "of-the-demo-alone")
	return u.String(), nil
}
