package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"attendee-relay/config"
	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

func newSetupCommand(p *program) *cobra.Command {
	var yes, asSQL bool
	command := &cobra.Command{
		Use:   "setup [--yes | --sql]",
		Short: "Make publication, slot, schema and baseline without starting to stream, as the first run would",
		Long: `Shows which of publication, slot, schema and baseline are missing; --yes makes them. Run
again, it finds nothing to do. --sql prints, without connecting, the SQL that a database
administrator runs for a role that owns nothing. With REPLICATION_SETUP=manual, setup makes nothing
and prints that SQL.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if yes && asSQL {
				return usageError{errors.New("--yes and --sql exclude each other")}
			}
			cfg, err := config.Load(p.environ)
			if err != nil {
				return err
			}
			if asSQL {
				return printSetupSQL(p.stdout, cfg)
			}
			log, err := newLogger(cfg.Log.Level, cfg.Log.Format, p.stderr)
			if err != nil {
				return err
			}
			defer func() { _ = log.Sync() }()
			return setUp(cmd.Context(), cfg, yes, p.stdout, log)
		},
	}
	command.Flags().BoolVar(&yes, "yes", false, "do it; without, only show what would be done")
	command.Flags().BoolVar(&asSQL, "sql", false, "print the SQL for an administrator, without connecting")
	return command
}

func setUp(ctx context.Context, cfg *config.Config, yes bool, out io.Writer, log *zap.Logger) error {
	steps, err := planSetup(ctx, cfg, out)
	if err != nil {
		return err
	}
	if cfg.Replication.Setup != "auto" {
		_, err := fmt.Fprintln(out, "Publication and slot exist. With REPLICATION_SETUP=manual, setup makes nothing; "+
			"the first run takes the baseline.")
		return err
	}
	if len(steps) == 0 {
		_, err := fmt.Fprintln(out, "Everything exists: nothing to do.")
		return err
	}
	for _, step := range steps {
		if _, err := fmt.Fprintln(out, step); err != nil {
			return err
		}
	}
	if !yes {
		_, err := fmt.Fprintln(out, "Nothing was done: add --yes to do it.")
		return err
	}
	if err := carryOutSetup(ctx, cfg, log); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	_, err = fmt.Fprintln(out, "Done: run continues from here. Start it soon: Postgres keeps WAL until then.")
	return err
}

// planSetup says what is missing. It prints the faults that are in the way, and is an error then.
func planSetup(ctx context.Context, cfg *config.Config, out io.Writer) ([]string, error) {
	seen, err := inspect(ctx, cfg, "setup")
	defer seen.close(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking at the database: %w", err)
	}
	if failing := fault.Failing(seen.findings); len(failing) > 0 {
		if err := printFindings(out, failing); err != nil {
			return nil, err
		}
		if cfg.Replication.Setup != "auto" && seen.conn != nil {
			_, _ = fmt.Fprintln(out, "\nREPLICATION_SETUP is manual: this is for an administrator to run.")
			if err := printSetupSQL(out, cfg); err != nil {
				return nil, err
			}
		}
		return nil, fmt.Errorf("nothing was done; requirements that are not met: %s",
			strings.Join(fault.UnmetCodes(failing, fault.Fail), ", "))
	}
	return missing(ctx, cfg, seen)
}

// missing lists the objects that setup has to make. A relay that streamed before and has lost its slot gets a new one
// from run, which then also compares ledger and table.
func missing(ctx context.Context, cfg *config.Config, seen *inspection) (steps []string, err error) {
	if !seen.replication.Published {
		steps = append(steps, fmt.Sprintf("publication %q is made for %s", cfg.Replication.Publication,
			seen.replication.Source.Name()))
	}
	if !seen.replication.Slot {
		steps = append(steps, fmt.Sprintf("replication slot %q is made", cfg.Replication.Slot))
	}
	switch {
	case seen.at.Phase == replication.PhaseStreaming && len(steps) > 0:
		steps = append(steps, "ledger and table are compared, and accepted rows that the ledger does not have are announced")
	case seen.at.Phase != replication.PhaseStreaming:
		n, err := replication.CountAccepted(ctx, seen.conn, seen.replication.Source)
		if err != nil {
			return nil, err
		}
		becomes := "remembered, not announced"
		if cfg.Outbox.Baseline == "send" {
			becomes = "announced"
		}
		steps = append(steps, "the schema attendee_relay is made or completed",
			fmt.Sprintf("%d rows that are accepted now are %s (SOURCE_BASELINE=%s)", n, becomes, cfg.Outbox.Baseline))
	}
	return steps, nil
}

// carryOutSetup is run's first start, up to the stream.
func carryOutSetup(ctx context.Context, cfg *config.Config, log *zap.Logger) error {
	board := fault.NewBoard()
	recorder, err := outbox.NewRecorder(cfg.Outbox, settings(cfg), cfg.Database.ReplicationURL, cfg.Deployment, board,
		outbox.Signals{Messages: func() {}, Waiting: func() {}}, log)
	if err != nil {
		return &config.Error{Faults: []string{err.Error()}}
	}
	defer recorder.Close(context.WithoutCancel(ctx))
	capture := replication.NewCapture(cfg.Replication, cfg.Database.ReplicationURL, cfg.Deployment, recorder, recorder,
		board, log)
	return capture.SetUp(ctx)
}
