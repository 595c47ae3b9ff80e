package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"attendee-relay/config"
	"attendee-relay/outbox"
)

func newEndpointsCommand(p *program) *cobra.Command {
	command := &cobra.Command{
		Use:   "endpoints list|enable",
		Short: "List the endpoints that messages wait for, and enable one that is disabled or paused",
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("endpoints needs list or enable")}
		},
	}
	command.AddCommand(newEndpointsListCommand(p), newEndpointsEnableCommand(p))
	return command
}

func newEndpointsListCommand(p *program) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "list [--json]",
		Short: "Print the endpoints that messages wait for, and those that fail, are paused or disabled",
		Args:  cobra.ArbitraryArgs, // judged here: cobra would print an argument, which may be a URL
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{errors.New("endpoints list takes no arguments")}
			}
			return withEndpoints(cmd.Context(), p, func(ctx context.Context, conn *pgx.Conn) error {
				list, err := outbox.ReadEndpoints(ctx, conn)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(p.stdout, list)
				}
				return printEndpoints(p.stdout, list)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false,
		`print [{"id","url","state","by","since","failures","pending","last_error"}]`)
	return command
}

func newEndpointsEnableCommand(p *program) *cobra.Command {
	var yes bool
	command := &cobra.Command{
		Use:   "enable ID|URL [--yes]",
		Short: "Send messages again to an endpoint that is disabled or paused",
		Long: `Sends messages again to an endpoint that is disabled (it answered 410) or paused (it
failed too often), slowly at first. A failure pauses it again, a 410 disables it again. ID is the
one that endpoints list and the log show; URL is the exact URL, with its query. Relays may run
meanwhile.`,
		Args: cobra.ArbitraryArgs, // judged here, as those of list
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usageError{errors.New("endpoints enable needs one ID or URL: endpoints list shows the ids")}
			}
			return withEndpoints(cmd.Context(), p, func(ctx context.Context, conn *pgx.Conn) error {
				return enableEndpoint(ctx, conn, args[0], yes, p.stdout)
			})
		},
	}
	command.Flags().BoolVar(&yes, "yes", false, "do it; without, only show what would be done")
	return command
}

// withEndpoints connects for a command about endpoints.
func withEndpoints(ctx context.Context, p *program, do func(context.Context, *pgx.Conn) error) error {
	cfg, err := config.Load(p.environ)
	if err != nil {
		return err
	}
	conn, err := direct(ctx, cfg, "endpoints")
	if err != nil {
		return fmt.Errorf("connecting to the database for the endpoints: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return do(ctx, conn)
}

func enableEndpoint(ctx context.Context, conn *pgx.Conn, name string, yes bool, out io.Writer) error {
	e, err := outbox.FindEndpoint(ctx, conn, name)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	say("Endpoint %s (%s): %s%s.", e.ID, e.URL, e.State, endpointHistory(e))
	if !e.Stopped() {
		say("It gets its messages already (waiting now: %d): there is nothing to enable.", e.Pending)
		return nil
	}
	say("Messages that wait for it: %d. Enabled, it gets them when they are due, slowly at first.", e.Pending)
	if !yes {
		say("Nothing was done: add --yes to do it.")
		return nil
	}
	done, err := outbox.EnableEndpoint(ctx, conn, e.ID)
	switch {
	case err != nil:
		return err
	case !done:
		say("Nothing was done: it has come back by itself meanwhile.")
	default:
		say("Done: messages are sent to it again; endpoints list shows its state.")
	}
	return nil
}

// endpointHistory describes since when and why an endpoint is in its state, as far as that is known.
func endpointHistory(e *outbox.Endpoint) (text string) {
	if e.Since != nil {
		text = " since " + e.Since.UTC().Format(time.RFC3339)
	}
	text += fmt.Sprintf("; failures since the last success: %d", e.Failures)
	if e.LastError != nil {
		text += "; the last error: " + *e.LastError
	}
	return text
}

func printEndpoints(out io.Writer, list []outbox.Endpoint) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "No messages wait for any endpoint, and none fails or is paused or disabled.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ID\tSTATE\tSINCE\tFAILURES\tPENDING\tURL\tLAST ERROR") // Flush says what fails
	for _, e := range list {
		since, failed := "-", "-"
		if e.Since != nil {
			since = e.Since.UTC().Format(time.RFC3339)
		}
		if e.LastError != nil {
			failed = *e.LastError
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", e.ID, e.State, since, e.Failures, e.Pending, e.URL, failed)
	}
	return table.Flush()
}
