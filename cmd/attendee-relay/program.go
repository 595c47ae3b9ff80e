package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"attendee-relay/config"
)

// The exit statuses of the public contract, section 6.
const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

// program is one invocation. Everything a command reads and writes comes in here, so that a test can run it as a value.
type program struct {
	environ []string
	stdin   io.Reader
	// stdout takes what a command was asked for, stderr what there is to say about it: logs and errors.
	stdout, stderr io.Writer
}

// usageError is what a command returns when it was called in a wrong way that its flags could not tell.
type usageError struct{ error }

// Unwrap gives errors.Is and errors.As the cause.
func (e usageError) Unwrap() error { return e.error }

// run executes the command that args name and returns the exit status. It ends when ctx is done, as an orderly end.
func (p *program) run(ctx context.Context, args []string) int {
	root := newRoot(p)
	started := false
	noteStart(root, &started)
	root.SetArgs(append([]string{}, args...)) // not nil: cobra would read the process's own
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)

	err := root.ExecuteContext(ctx)
	if err == nil {
		return statusDone
	}
	p.complain("attendee-relay: %v\n", err)
	var usage usageError
	if !started || errors.As(err, &usage) {
		p.complain("attendee-relay help lists the commands, attendee-relay COMMAND --help its flags\n")
		return statusUsage
	}
	var wrong *config.Error
	if errors.As(err, &wrong) {
		return statusUsage
	}
	return statusFailed
}

// complain says what is wrong, before the process ends. It waits for whoever reads stderr, for a second at most.
func (p *program) complain(format string, args ...any) {
	out := newSink(p.stderr, func(int) []byte { return nil })
	_, _ = fmt.Fprintf(out, format, args...)
	_ = out.Sync()
}

// noteStart has every command note that its own code begins: earlier errors are cobra's, about the arguments.
func noteStart(command *cobra.Command, started *bool) {
	if inner := command.RunE; inner != nil {
		command.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return inner(cmd, args)
		}
	}
	for _, child := range command.Commands() {
		noteStart(child, started)
	}
}
