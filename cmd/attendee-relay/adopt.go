package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"attendee-relay/config"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

type adoptFlags struct {
	keep, discard, yes bool
	send               bool
	where              string
	// narrowed: --where was given.
	narrowed bool
}

func newAdoptCommand(p *program) *cobra.Command {
	var flags adoptFlags
	command := &cobra.Command{
		Use:   "adopt --keep-pending | --discard-pending [--send-missing [--where CONDITION]] [--yes]",
		Short: "Take over bookkeeping of another cluster, database, deployment or other SOURCE_ settings",
		Long: `Binds the bookkeeping in this database to this database, DEPLOYMENT and
SOURCE_ settings. A relay then makes a new slot and compares its ledger with the table.

It first counts the accepted rows that the ledger does not have and shows 20 of their keys.
After a change of SOURCE_ settings these rows are marked (remembered, not announced), or announced
with --send-missing or SOURCE_BASELINE=send. With unchanged settings they were missed, and are
announced.

--where CONDITION narrows --send-missing to the rows for which the condition holds; the others are
marked. It is SQL on the watched table, run read-only as the relay's role, for example
--where "event_id = 7 AND updated_at > '2026-03-01'". A row accepted after the count is always
announced.

It ends the faults cluster_changed, lsn_behind and source_changed, and source_drift after an
alteration that you keep. With REPLICATION_ON_LOSS=stop it also ends slot_lost and slot_missing.
Relays may run meanwhile.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.keep == flags.discard {
				return usageError{errors.New(
					"adopt needs --keep-pending or --discard-pending, for messages that were not sent yet")}
			}
			flags.narrowed = cmd.Flags().Changed("where")
			switch {
			case flags.narrowed && !flags.send:
				return usageError{errors.New("--where narrows --send-missing: give both")}
			case flags.narrowed && strings.TrimSpace(flags.where) == "":
				return usageError{errors.New("--where needs a condition on the watched table")}
			}
			cfg, err := config.Load(p.environ)
			if err != nil {
				return err
			}
			return adopt(cmd.Context(), cfg, flags, p.stdout)
		},
	}
	command.Flags().BoolVar(&flags.keep, "keep-pending", false, "send what was not sent yet")
	command.Flags().BoolVar(&flags.discard, "discard-pending", false, "end what was not sent yet as dead")
	command.Flags().BoolVar(&flags.send, "send-missing", false, "announce the accepted rows that the ledger does not have")
	command.Flags().StringVar(&flags.where, "where", "",
		"announce only those for which this SQL `CONDITION` on the watched table holds")
	command.Flags().BoolVar(&flags.yes, "yes", false, "do it; without, only show what would be done")
	return command
}

func adopt(ctx context.Context, cfg *config.Config, flags adoptFlags, out io.Writer) error {
	conn, err := direct(ctx, cfg, "adopt")
	if err != nil {
		return fmt.Errorf("connecting to adopt the bookkeeping: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	source, err := replication.ReadSource(ctx, conn, cfg.Replication)
	if err != nil {
		return fmt.Errorf("reading the watched table, to compare it with the ledger: %w", err)
	}
	plan, err := outbox.PlanAdoption(ctx, conn, cfg.Outbox, settings(cfg), cfg.Deployment, source,
		outbox.Choice{Send: flags.send, Where: flags.where})
	var condition *outbox.ConditionError
	if errors.As(err, &condition) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	printAdoption(out, plan, flags)
	if !flags.yes {
		_, err = fmt.Fprintln(out, "Nothing was done: add --yes to do it.")
		return err
	}
	if err := carryOut(ctx, conn, cfg, plan, flags); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out,
		"Done: a relay takes it from here; attendee_relay.gap and its log say what the comparison found.")
	return err
}

func carryOut(ctx context.Context, conn *pgx.Conn, cfg *config.Config, plan *outbox.Adoption, flags adoptFlags) error {
	if flags.discard {
		if err := plan.Discard(ctx, conn); err != nil {
			return err
		}
	}
	phase := replication.PhaseOwnSlot
	if cfg.Replication.Setup != "auto" {
		phase = replication.PhaseGivenSlot
	}
	if err := plan.Adopt(ctx, conn, phase); err != nil {
		return err
	}
	if err := replication.EndReader(ctx, conn, cfg.Replication); err != nil {
		return fmt.Errorf("the bookkeeping is adopted; a relay that runs may notice late: %w", err)
	}
	return nil
}

func printAdoption(out io.Writer, plan *outbox.Adoption, flags adoptFlags) {
	owner := func(o outbox.Owner) string {
		return fmt.Sprintf("deployment %q on database %q of cluster %s", o.Deployment, o.Database, o.SystemID)
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	if plan.Was == plan.Is {
		say("The bookkeeping already belongs to this %s.", owner(plan.Is))
	} else {
		say("The bookkeeping belongs to %s; it would belong to %s.", owner(plan.Was), owner(plan.Is))
	}
	if plan.Behind {
		say("The server's WAL ends at %s, before the checkpoint %s: what was recorded after it is not known here.", plan.WAL,
			plan.Checkpoint)
	}
	becomes := "stay to be sent"
	if flags.discard {
		becomes = "end as dead, \"discarded by adopt\""
	}
	say("%d pending messages and %d waiting acceptances %s.", plan.Pending, plan.Waiting, becomes)
	printMissing(say, plan, flags)
}

// printMissing says how many accepted rows the ledger lacks, shows some of their keys, and says what is done with them.
func printMissing(say func(string, ...any), plan *outbox.Adoption, flags adoptFlags) {
	announced, marked := len(plan.Announced), len(plan.Marked)
	if plan.SettingsChanged {
		say("The SOURCE_ settings have changed: a new slot is made, and the ledger of accepted rows is made to fit them.")
	} else {
		say("A new slot is made, and the ledger of accepted rows compared with the table.")
	}
	if announced+marked == 0 {
		say("No accepted row is missing in the ledger.")
	} else {
		say("%d accepted rows are not in the ledger.", announced+marked)
	}
	if announced > 0 {
		say("%d of them are announced: %s.", announced, someOf(plan.Announced))
	}
	if marked > 0 {
		say("%d of them are marked, that is, remembered and not announced: %s.", marked, someOf(plan.Marked))
	}
	if marked > 0 && !flags.send {
		say("--send-missing announces them, and --where CONDITION narrows that.")
	}
}

func someOf(keys []string) string {
	text := "SOURCE_KEY " + strings.Join(keys[:min(len(keys), outbox.ShownKeys)], ", ")
	if more := len(keys) - outbox.ShownKeys; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
