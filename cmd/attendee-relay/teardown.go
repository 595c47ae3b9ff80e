package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"attendee-relay/config"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

type teardownFlags struct{ yes, purge, sql bool }

func newTeardownCommand(p *program) *cobra.Command {
	var flags teardownFlags
	command := &cobra.Command{
		Use:   "teardown [--purge] [--yes | --sql]",
		Short: "Drop slot and publication, and with --purge the schema with everything in it",
		Long: `Shows what the relay has left in the database. --yes drops slot and publication, and
--purge also the schema attendee_relay. Stop the relays first: teardown refuses while one is
connected. It leaves alone what others made under the same names. Run again, it finds nothing to do.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.yes && flags.sql {
				return usageError{errors.New("--yes and --sql exclude each other")}
			}
			cfg, err := config.Load(p.environ)
			if err != nil {
				return err
			}
			if flags.sql {
				return printTeardownSQL(p.stdout, cfg, flags.purge)
			}
			conn, err := direct(cmd.Context(), cfg, "teardown")
			if err != nil {
				return fmt.Errorf("connecting to the database: %w", err)
			}
			defer func() { _ = conn.Close(context.WithoutCancel(cmd.Context())) }()
			return tearDown(cmd.Context(), conn, cfg, flags, p.stdout)
		},
	}
	command.Flags().BoolVar(&flags.yes, "yes", false, "do it; without, only show what would be done")
	command.Flags().BoolVar(&flags.purge, "purge", false,
		"drop the schema attendee_relay too, with all messages and the ledger")
	command.Flags().BoolVar(&flags.sql, "sql", false, "print the SQL instead, without connecting")
	return command
}

// printTeardownSQL prints what somebody else has to run.
func printTeardownSQL(out io.Writer, cfg *config.Config, purge bool) error {
	statements := append([]string{"-- Stop the relays first. Each statement may be run again."},
		cfg.Replication.TeardownSQL()...)
	if purge {
		statements = append(statements, outbox.PurgeSQL)
	}
	for _, statement := range statements {
		if _, err := fmt.Fprintln(out, statement); err != nil {
			return err
		}
	}
	return nil
}

func tearDown(ctx context.Context, conn *pgx.Conn, cfg *config.Config, flags teardownFlags, out io.Writer) error {
	capture, err := replication.PlanTeardown(ctx, conn, cfg.Replication, cfg.Deployment)
	if err != nil {
		return err
	}
	books, err := outbox.PlanPurge(ctx, conn)
	if err != nil {
		return err
	}
	if flags.purge {
		if err := books.Check(cfg.Deployment); err != nil {
			return err
		}
	}
	printTeardown(out, cfg, capture, books, flags.purge)
	if !capture.Slot && !capture.Publication && (!flags.purge || !books.Exists) {
		_, err = fmt.Fprintln(out, "Nothing to do.")
		return err
	}
	if !flags.yes {
		_, err = fmt.Fprintln(out, "Nothing was done: add --yes to do it.")
		return err
	}
	if err := capture.Remove(ctx, conn); err != nil {
		return err
	}
	if flags.purge {
		if err := books.Remove(ctx, conn); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(out, "Done.")
	return err
}

func printTeardown(out io.Writer, cfg *config.Config, capture *replication.Teardown, books *outbox.Purge, purge bool) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	switch {
	case capture.Slot && capture.Retained != nil:
		say("replication slot %q is dropped, and the %d bytes of WAL that it keeps are freed",
			cfg.Replication.Slot, *capture.Retained)
	case capture.Slot:
		say("replication slot %q, which is lost, is dropped", cfg.Replication.Slot)
	}
	if capture.Publication {
		say("publication %q is dropped", cfg.Replication.Publication)
	}
	for _, note := range capture.Notes {
		say("%s", note)
	}
	switch {
	case books.Exists && purge:
		say("the schema attendee_relay is dropped with everything in it; never sent: pending messages %d, "+
			"waiting acceptances %d", books.Pending, books.Waiting)
	case books.Exists:
		say("the schema attendee_relay stays (pending messages %d, waiting acceptances %d); --purge drops it",
			books.Pending, books.Waiting)
	}
}
