package replication

import (
	"cmp"
	"context"
	_ "embed"
	"errors"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/fault"
)

//go:embed heirs.sql
var heirsSQL string

// inspectPublication judges the publication, or the right to make it. A table that cannot be captured yet is still
// looked up in it.
func (i Inspector) inspectPublication(ctx context.Context, conn *pgx.Conn, found *Inspection) error {
	source := cmp.Or(found.Source, found.table)
	switch {
	case source == nil && found.Denied != nil:
		found.unasked(found.Denied, fault.PublicationMissing, fault.PublicationUnsafe)
		return nil
	case source == nil:
		return nil // there is no such table
	}
	published, err := checkPublication(ctx, conn, i.Config, source)
	if published && err == nil {
		found.Published = true
		found.add(fault.Passed(fault.PublicationMissing, "publication %q holds %s", i.Config.Publication, source.Name()),
			fault.Passed(fault.PublicationUnsafe,
				"publication %q has no filter and no column list, and publishes every operation", i.Config.Publication))
		return nil
	}
	s, slotErr := readSlot(ctx, conn, i.Config.Slot)
	if slotErr != nil {
		return slotErr
	}
	var missing *fault.Fault
	if errors.As(err, &missing) && s != nil && !published && !s.active && !i.streaming() && s.ours(i.Config.Slot) == nil {
		// If it were made after the slot, a publication would not exist at the position the slot is read from: both are
		// recreated.
		err = missing.WithFix(missing.Fix + "; " + (&Capture{config: i.Config}).remakeSlotSQL())
	}
	if published || s != nil || i.Config.Setup != "auto" {
		return err
	}
	return i.inspectMayPublish(ctx, conn, source, found)
}

// inspectHeirs warns of tables that inherit from the watched one: their rows are seen in it, and are not in its stream.
func (i Inspector) inspectHeirs(ctx context.Context, conn *pgx.Conn, found *Inspection) error {
	source := cmp.Or(found.Source, found.table)
	if !found.Published {
		return nil
	}
	var heirs string
	err := ask(ctx, conn, "looking for tables that inherit from the watched one", heirsSQL, []any{source.OID}, &heirs)
	if err == nil && heirs != "" {
		found.add(fault.Warning(fault.Inheritance, "-- keep such rows in "+source.Name()+", or make it a partitioned table",
			"%s inherit from %s: their rows are not watched", heirs, source.Name()))
	}
	return err
}

// inspectMayPublish judges the right to make the publication that is missing.
func (i Inspector) inspectMayPublish(ctx context.Context, conn *pgx.Conn, source *Source, found *Inspection) error {
	err := checkMayPublish(ctx, conn, i.Config, source)
	var no *fault.Fault
	switch {
	case errors.As(err, &fault.Denied{}):
	case errors.As(err, &no):
		found.add(fault.Failed(no.WithFix(createPublicationSQL(i.Config, source))))
		return nil
	case err == nil && !found.fails(fault.NoReplicaIdentity):
		found.add(fault.Passed(fault.PublicationMissing, "publication %q will be made by run or setup", i.Config.Publication))
	}
	return err
}

// inspectSlot judges the slot that is there, or the way to one.
func (i Inspector) inspectSlot(ctx context.Context, conn *pgx.Conn, found *Inspection) error {
	s, err := readSlot(ctx, conn, i.Config.Slot)
	if err != nil {
		return err
	}
	name := i.Config.Slot
	if s == nil {
		found.add(i.noSlot())
		return nil
	}
	if err := s.ours(name); err != nil {
		return err
	}
	c := &Capture{config: i.Config, deployment: i.Deployment}
	if s.active {
		if err := c.held(s); !errors.Is(err, errStandby) {
			return err
		}
		found.Held, found.Slot = true, true
		found.add(fault.Passed(fault.SlotBusy, "replication slot %q is read by a relay of this deployment", name))
		return nil
	}
	found.Slot = !s.lost()
	switch {
	case i.streaming() && !s.lost() && s.confirmed > i.At.LSN:
		found.add(i.lost(c.slotMoved(i.At, s)))
	case !s.lost():
		found.add(fault.Passed(fault.SlotMissing, "replication slot %q exists and is free; its WAL is %s", name, s.walStatus))
	default:
		found.add(i.lost(c.slotLost()))
	}
	return nil
}

func (i Inspector) noSlot() fault.Finding {
	missing := (&Capture{config: i.Config, deployment: i.Deployment}).slotMissing()
	if i.streaming() || i.Config.Setup != "auto" {
		return i.lost(missing)
	}
	return fault.Passed(fault.SlotMissing, "replication slot %q will be made by run or setup", i.Config.Slot)
}

// lost returns the finding of a slot that is gone or lost, with the fix of a running relay's fault.
func (i Inspector) lost(f *fault.Fault) fault.Finding {
	switch {
	case i.streaming() && i.Config.OnLoss != "resync":
		return fault.Failed(stopped(f))
	case i.streaming() && i.resyncs():
		return i.willResync(f)
	}
	return fault.Failed(f)
}

func (i Inspector) streaming() bool { return i.At.Phase == PhaseStreaming }

// inspectPins compares what is watched with what the stream was begun on.
func (i Inspector) inspectPins(_ context.Context, _ *pgx.Conn, found *Inspection) error {
	if i.At.Pins == nil || !i.streaming() {
		return nil
	}
	if found.Source == nil || !found.Published {
		if lacking := cmp.Or(found.Denied, found.publicationDenied); lacking != nil {
			found.unasked(lacking, fault.SourceDrift)
		}
		return nil
	}
	source := found.Source
	if f := i.At.Pins.drifted(source.Pins, source.Name()); f != nil {
		found.add(fault.Failed(f))
		return nil
	}
	switch f := i.At.Pins.remade(source.Pins, source.Name()); {
	case f == nil:
		found.add(fault.Passed(fault.SourceDrift, "%s and its publication are those that streaming began with",
			source.Name()))
	case i.resyncs():
		found.add(i.willResync(f))
	default:
		found.add(fault.Failed(f.WithFix("attendee-relay adopt --keep-pending --yes")))
	}
	return nil
}

func (i Inspector) resyncs() bool { return i.Config.OnLoss == "resync" && i.Config.Setup == "auto" }

// willResync returns the finding of a loss from which a relay recovers by itself.
func (i Inspector) willResync(f *fault.Fault) fault.Finding {
	return fault.Warning(f.Code, "attendee-relay run",
		"%s: a relay that starts makes a new one, compares ledger and table and announces what is missing", f.Message)
}
