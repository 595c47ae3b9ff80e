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

type adoptFlags struct{ keep, discard, yes bool }

func newAdoptCommand(p *program) *cobra.Command {
	var flags adoptFlags
	command := &cobra.Command{
		Use:   "adopt --keep-pending | --discard-pending [--yes]",
		Short: "Go on with bookkeeping of another cluster, database, deployment or of other SOURCE_ settings",
		Long: `Binds the bookkeeping in this database to this database, DEPLOYMENT and SOURCE_ settings. A relay then makes a new slot,
compares its ledger with the table, and announces what is missing; with changed SOURCE_ settings it takes a new baseline.
It ends the faults cluster_changed, lsn_behind and source_changed, source_drift after an alteration that is to stay, and,
under REPLICATION_ON_LOSS=stop, slot_lost and slot_missing. Relays may run meanwhile.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.keep == flags.discard {
				return usageError{errors.New("adopt needs --keep-pending or --discard-pending: what becomes of messages that were not sent yet")}
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
	command.Flags().BoolVar(&flags.yes, "yes", false, "do it; without, only show what would be done")
	return command
}

func adopt(ctx context.Context, cfg *config.Config, flags adoptFlags, out io.Writer) error {
	conn, err := direct(ctx, cfg, "adopt")
	if err != nil {
		return fmt.Errorf("connecting to adopt the bookkeeping: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	plan, err := outbox.PlanAdoption(ctx, conn, cfg.Outbox, settings(cfg), cfg.Deployment)
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
	_, err = fmt.Fprintln(out, "Done: a relay takes it from here; attendee_relay.gap and its log say what the comparison found.")
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
		say("The bookkeeping belongs to this %s already.", owner(plan.Is))
	} else {
		say("The bookkeeping belongs to %s; it would belong to %s.", owner(plan.Was), owner(plan.Is))
	}
	if plan.Behind {
		say("The server's WAL ends at %s, before the checkpoint %s: what was recorded after it is not known here.", plan.WAL, plan.Checkpoint)
	}
	becomes := "stay to be sent"
	if flags.discard {
		becomes = "end as dead, \"discarded by adopt\""
	}
	say("%d pending messages and %d waiting acceptances %s.", plan.Pending, plan.Waiting, becomes)
	switch {
	case !plan.SettingsChanged:
		say("A new slot is made and the ledger compared with the table: accepted rows that it lacks are announced.")
	case plan.Announces():
		say("The SOURCE_ settings are other ones: a new baseline is taken, and the rows that it adds are announced (SOURCE_BASELINE=send).")
	default:
		say("The SOURCE_ settings are other ones: a new baseline is taken, and its rows are not announced (SOURCE_BASELINE=mark).")
	}
}
