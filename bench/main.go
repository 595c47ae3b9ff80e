// Command bench measures the relay's speed and cost beside the best that the same machine gives in the same run.
//
// It turns a private Postgres, the reference schema with 100 events, and the built binary into figures: each scenario
// runs once a round, round after round, so that a machine that slows down slows all of them down; medians are printed
// with min and max. The relay, the receiver and the bare client are processes of their own, whose CPU time is told
// apart. People run it (go run ./bench); nothing imports it. It needs the programs of Postgres, pg_recvlogical and
// pgbench among them, and Linux's /proc.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The processes are started by the main thread, which lives as long as this process: Linux ends them with the thread
// that started them (golang/go issue 27505).
func init() { runtime.LockOSThread() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

func newRootCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "bench",
		Short:         "Measure the relay beside what is possible on this machine",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o, os.Stdout, os.Stderr) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.rounds, "rounds", 3, "how often each scenario runs")
	flags.StringSliceVar(&o.only, "only", nil, "the scenarios to run, all by default: "+strings.Join(names(), ", "))
	flags.BoolVar(&o.short, "short", false, "a tenth of the work, to try the bench itself")
	flags.BoolVar(&o.json, "json", false, "print every sample as JSON instead of a table")
	flags.StringVar(&o.profile, "profile", "", "write the relay's CPU profiles of the drain into this directory")
	cmd.AddCommand(newReceiveCommand(), newPostCommand())
	return cmd
}
