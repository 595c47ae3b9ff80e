package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Options says how long the demo plays and with what relay.
type Options struct {
	// For ends the play after so long; 0: it goes on.
	For time.Duration
	// Attendees ends the play after so many acceptances; 0: no limit.
	Attendees int
	// Pace is the time between two steps; 0: one that people can follow.
	Pace time.Duration
	// Out receives what people read.
	Out io.Writer
	// Relay runs the relay against the database until ctx is done. The receiver speaks plain http on a loopback address,
	// which the relay must be told to allow; each event's row carries its own secret.
	Relay func(ctx context.Context, databaseURL, receiverURL string) error
}

const (
	defaultPace = 700 * time.Millisecond
	// lastWait is how long the webhooks of the last acceptances are waited for, and lastWaitInterrupted after Ctrl-C.
	lastWait            = 30 * time.Second
	lastWaitInterrupted = 2 * time.Second
)

// Run plays the demo until ctx is done, or as long as the options say, then stops and removes everything it started. It
// fails when an announcement never came or one came that should not have; being interrupted is no failure.
func Run(ctx context.Context, o Options) error {
	s := &stage{out: &printer{to: o.Out}, watch: newStopwatch()}
	err := s.open(ctx, o.Relay)
	opened := err == nil
	if opened {
		err = s.play(ctx, o)
	}
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		err = nil
	}
	s.out.line("Stopping.")
	err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
	if opened {
		s.out.line(s.watch.total().String())
		err = errors.Join(err, s.watch.total().judge(ctx.Err() != nil))
	}
	return err
}

// play lets the player do step after step, then waits for the webhooks still on their way.
func (s *stage) play(ctx context.Context, o Options) error {
	pace := o.Pace
	if pace <= 0 {
		pace = defaultPace
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	var over <-chan time.Time // never, without a limit
	if o.For > 0 {
		over = time.After(o.For)
	}
	player := NewPlayer(s.pool, s.narrate, s.accepting)
	for o.Attendees <= 0 || s.watch.total().accepted < o.Attendees {
		if err := player.Step(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-over:
			return s.awaitLast(ctx)
		case <-ctx.Done():
			return s.awaitLast(ctx)
		case err := <-s.relay:
			return s.relayEnded(err)
		}
	}
	return s.awaitLast(ctx)
}

// awaitLast waits until no webhook is missing, only shortly once the play is interrupted. Whether one is missing then
// is judged with the total.
func (s *stage) awaitLast(ctx context.Context) error {
	patience := time.NewTimer(lastWait)
	defer patience.Stop()
	interrupted := ctx.Done()
	for s.watch.open() > 0 {
		select {
		case <-s.watch.arrived:
		case <-patience.C:
			return nil
		case <-interrupted:
			interrupted = nil // said once
			patience.Reset(lastWaitInterrupted)
		case err := <-s.relay:
			return s.relayEnded(err)
		}
	}
	return nil
}

// narrate prints what the player does.
func (s *stage) narrate(line string) { s.out.line("-> " + Printable(line)) }

// accepting starts the watch for an acceptance.
func (s *stage) accepting(attendee int64, at time.Time) { s.watch.commit(key(attendee), at) }

// show prints a webhook; those that do not verify are refused by the receiver and so count for nothing.
func (s *stage) show(r Received) {
	if !r.Verified {
		s.out.line("<-     refused | " + r.Describe())
		return
	}
	if !s.shown {
		s.shown = true
		s.out.line("The first webhook's body: " + Printable(string(r.Body)))
	}
	took, receipt := s.watch.receive(r.ID, r.attendee(), r.At)
	when := fmt.Sprintf("%8.1f ms", float64(took)/float64(time.Millisecond))
	switch receipt {
	case receiptRepeated:
		when = "   repeated"
	case receiptUnexpected:
		when = " UNEXPECTED"
	}
	s.out.line("<- " + when + " | " + r.Describe())
}
