package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"attendee-relay/config"
	"attendee-relay/internal/fault"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// relayStatus is what status prints; the names are fixed by the public contract, section 6.
type relayStatus struct {
	Role string                 `json:"role"`
	Slot replication.SlotStatus `json:"slot"`
	outbox.Status
	Faults []faultStatus `json:"faults"`
	// byRelay: role and faults are those that a relay says.
	byRelay bool
}

type faultStatus struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
	// Since is when a relay raised it; nil: no relay says so, it is found now.
	Since *time.Time `json:"since"`
	fix   string
}

// statusWarnings are the warnings of check that status shows as faults.
var statusWarnings = []fault.Code{fault.QueryFailing, fault.AcceptedUnseen}

// found is a finding as a fault that holds now.
func found(f fault.Finding) faultStatus {
	return faultStatus{Code: f.Code, Message: f.Message, fix: f.Fix}
}

func newStatusCommand(p *program) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "status",
		Short: "Print the relay's state: role, slot, checkpoint, outbox, endpoints and faults",
		Long: `Prints the relay's state. Role and faults are those of the relay that answers on ADMIN_ADDR.
Without one, the role is leader while a relay of this DEPLOYMENT reads the slot, else none, and the
faults are those that check finds.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(p.environ)
			if err != nil {
				return err
			}
			s, failed := readStatus(cmd.Context(), cfg)
			if s.Estimated || failed == nil && s.Endpoints == nil {
				_, _ = fmt.Fprintln(p.stderr, "attendee-relay: counting took too long: counts are the planner's estimates, "+
					"null (unknown) where it has none")
			}
			if asJSON {
				err = printJSON(p.stdout, s)
			} else {
				err = s.print(p.stdout)
			}
			return errors.Join(failed, err)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return command
}

// readStatus reads the whole status. After an error it returns the part that was read before; the rest is nil.
func readStatus(ctx context.Context, cfg *config.Config) (*relayStatus, error) {
	s := &relayStatus{Role: "none", Slot: replication.SlotStatus{Name: cfg.Replication.Slot}, Faults: []faultStatus{}}
	conn, err := s.roleAndFaults(ctx, cfg)
	if conn != nil {
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	}
	if err != nil {
		return s, err
	}
	if s.Slot, err = replication.ReadSlotStatus(ctx, conn, cfg.Replication.Slot); err != nil {
		return s, err
	}
	counted, err := outbox.ReadStatus(ctx, conn)
	if err != nil {
		return s, err
	}
	s.Status = *counted
	return s, s.addValues(ctx, conn, cfg)
}

// addValues warns of an accepted value that no row has, where a relay's faults do not include it.
func (s *relayStatus) addValues(ctx context.Context, conn *pgx.Conn, cfg *config.Config) error {
	if !s.byRelay {
		return nil // check has looked
	}
	source, err := replication.ReadSource(ctx, conn, cfg.Replication)
	if err != nil {
		return nil //nolint:nilerr // the relay shows what is wrong with the table
	}
	values, err := replication.InspectValues(ctx, conn, cfg.Replication, source)
	if err == nil && values.Level == fault.Warn {
		s.Faults = append(s.Faults, found(values))
	}
	return err
}

// roleAndFaults asks a relay, else it looks for itself. It returns the connection that the rest is read over.
func (s *relayStatus) roleAndFaults(ctx context.Context, cfg *config.Config) (*pgx.Conn, error) {
	if local := askLocal(ctx, cfg.Admin.Addr); local != nil {
		s.Role, s.byRelay = local.Role, true
		for _, f := range local.Faults {
			f.fix = f.Fix
			s.Faults = append(s.Faults, f.faultStatus)
		}
		conn, err := direct(ctx, cfg, "status")
		if err != nil {
			return nil, fmt.Errorf("connecting to the database: %w", err)
		}
		return conn, nil
	}
	seen, err := inspect(ctx, cfg, "status")
	for _, f := range seen.findings {
		if f.Level == fault.Fail || f.Level == fault.Warn && slices.Contains(statusWarnings, f.Code) {
			s.Faults = append(s.Faults, found(f))
		}
	}
	if seen.replication != nil && seen.replication.Held {
		s.Role = "leader"
	}
	switch {
	case err != nil:
		return seen.conn, fmt.Errorf("looking at the database: %w", err)
	case seen.conn == nil:
		return nil, errors.New("the database cannot be reached")
	default:
		return seen.conn, nil
	}
}

func (s *relayStatus) print(out io.Writer) error {
	var failed error
	say := func(what, format string, args ...any) {
		if _, err := fmt.Fprintf(out, "%-12s "+format+"\n", append([]any{what}, args...)...); failed == nil {
			failed = err
		}
	}
	say("role", "%s", s.Role)
	say("slot", "%s", slotText(s.Slot))
	checkpoint := "none"
	if s.Checkpoint != nil {
		checkpoint = *s.Checkpoint
	}
	say("checkpoint", "%s", checkpoint)
	say("acceptances", "%s waiting (the oldest for %s s), %s of them for an error of the payload query, %s empty",
		figure(s.Acceptances.Waiting), figure(s.OldestWaiting), figure(s.Acceptances.Failing), figure(s.Acceptances.Empty))
	say("outbox", "%s pending (the oldest for %s s), %s delivered, %s dead, %s skipped", figure(s.Outbox.Pending),
		figure(s.OldestPending), figure(s.Outbox.Delivered), figure(s.Outbox.Dead), figure(s.Outbox.Skipped))
	if s.Endpoints == nil {
		say("endpoints", "unknown")
	}
	for _, e := range s.Endpoints {
		by := ""
		if e.By != nil {
			by = " by the " + *e.By
		}
		say("endpoint", "%s %s%s: %d pending; failures since the last success: %d", e.URL, e.State, by, e.Pending, e.Failures)
	}
	for _, f := range s.Faults {
		say("fault", "%s", f)
		if f.fix != "" {
			say("", "fix: %s", f.fix)
		}
	}
	if len(s.Faults) == 0 {
		say("faults", "none")
	}
	return failed
}

// String is the fault in one line.
func (f faultStatus) String() string {
	text := string(f.Code) + ": " + f.Message
	if f.Since != nil {
		text += " (since " + f.Since.Format(time.RFC3339) + ")"
	}
	return text
}

// figure formats a number without decimals; an unknown one is not shown as zero.
func figure[T int64 | float64](n *T) string {
	if n == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f", float64(*n))
}

func slotText(s replication.SlotStatus) string {
	if s.Active == nil {
		return s.Name + ": unknown"
	}
	if s.WALStatus == nil && s.Lag == nil {
		return s.Name + ": there is none"
	}
	text, active := s.Name+": not read by anybody", "unknown"
	if *s.Active {
		text = s.Name + ": read"
	}
	if s.WALStatus != nil {
		active = *s.WALStatus
	}
	text += ", WAL " + active
	if s.Lag != nil {
		text += fmt.Sprintf(", %d bytes behind", *s.Lag)
	}
	if s.RetainedWAL != nil {
		text += fmt.Sprintf(", %d bytes of WAL kept", *s.RetainedWAL)
	}
	return text
}
