package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// maxSteal is the share of CPU time that other machines may take on the same host before a round counts for nothing.
const maxSteal = 0.05

// options are the command line's.
type options struct {
	rounds  int
	only    []string
	short   bool
	json    bool
	profile string
}

// scenario is one thing that is measured.
type scenario struct {
	name string
	run  func(ctx context.Context, b *bench) ([]sample, error)
}

// scenarios in the order in which each round runs them.
var scenarios = []scenario{
	{"drain", drain}, {"latency", latency}, {"capture", capture}, {"bulk", bulk}, {"idle", idle}, {"growth", growth},
	{"slow", slow}, {"neighbour", neighbour},
}

func names() []string {
	var all []string
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// run measures and prints. What goes wrong in one scenario ends the run, and everything that was started with it.
func run(ctx context.Context, o options, out, progress io.Writer) (err error) {
	for _, name := range o.only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("there is no scenario %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	if o.rounds < 1 {
		return errors.New("--rounds must be 1 at least")
	}
	b, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(context.WithoutCancel(ctx))) }()
	r := newReport()
	for round := range o.rounds {
		for _, s := range scenarios {
			if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
				continue
			}
			fmt.Fprintf(progress, "round %d of %d: %s\n", round+1, o.rounds, s.name)
			if err := b.measure(ctx, s, r, progress); err != nil {
				return fmt.Errorf("measuring %s: %w", s.name, err)
			}
		}
	}
	if o.json {
		return r.writeJSON(out)
	}
	return r.writeTable(out)
}

// measure runs a scenario once; where the machine was taken away meanwhile, nothing is noted.
func (b *bench) measure(ctx context.Context, s scenario, r *report, progress io.Writer) error {
	before, err := machineTime()
	if err != nil {
		return err
	}
	samples, err := s.run(ctx, b)
	if err != nil {
		return err
	}
	after, err := machineTime()
	if err != nil {
		return err
	}
	if stolen := after.stolenSince(before); stolen > maxSteal {
		fmt.Fprintf(progress, "  discarded: %.0f %% of the CPU time was stolen\n", 100*stolen)
		r.discarded++
		return nil
	}
	for _, sample := range samples {
		fmt.Fprintf(progress, "  %s: %s %s\n", sample.figure.name, rounded(sample.value), sample.figure.unit)
		r.add(sample)
	}
	return nil
}

// size is the amount of work, a tenth of it with --short.
func (b *bench) size(full int) int {
	if b.options.short {
		return max(min(1, full), full/10)
	}
	return full
}

// scratch makes a directory that close removes.
func scratch() (string, error) {
	dir, err := os.MkdirTemp("", "attendee-relay-bench-")
	if err != nil {
		return "", fmt.Errorf("making a directory for the bench: %w", err)
	}
	return dir, nil
}
