package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"
)

// secretBytes is the length of a new signing key: that of the hash it is used with, within the 24 to 64 bytes that
// Standard Webhooks allows.
const secretBytes = 32

func newSecretCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "secret",
		Short: "Print a new signing secret, for DELIVERY_SIGNING_SECRETS or one receiver",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.stdout, newSecret())
			return err
		},
	}
}

// newSecret returns a random secret in the form that Standard Webhooks libraries take.
func newSecret() string {
	key := make([]byte, secretBytes)
	_, _ = rand.Read(key) // documented never to fail; it ends the process when there is no randomness
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}
