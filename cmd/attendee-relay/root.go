package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newRoot returns the command line. Every command has its own file with a constructor, and is in this list; it has
// a RunE and no Run, so that its errors become exit statuses.
func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "attendee-relay",
		Short: "Sends a signed webhook for each accepted attendee of a Postgres registration database",
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("no command was given")}
		},
		SilenceErrors:     true, // program.run prints them
		SilenceUsage:      true, // an operator looks for the error, not for a page of flags
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(
		newRunCommand(p),
		newCheckCommand(p),
		newSetupCommand(p),
		newTeardownCommand(p),
		newStatusCommand(p),
		newAdoptCommand(p),
		newEndpointsCommand(p),
		newDemoCommand(p),
		newListenCommand(p),
		newSecretCommand(p),
		newVersionCommand(p),
	)
	return root
}
