package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"attendee-relay/config"
	"attendee-relay/demo"
)

func newDemoCommand(p *program) *cobra.Command {
	var o demo.Options
	logLevel := "warn"
	command := &cobra.Command{
		Use:   "demo",
		Short: "Play registrations against a private Postgres and print each webhook as it arrives",
		Long: "Starts a private Postgres, the relay and a receiver, plays registrations, and prints each webhook with the\n" +
			"time since its commit, until Ctrl-C. Nothing is left behind.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out = p.stdout
			o.Relay = func(ctx context.Context, databaseURL, _ string) error {
				return p.runDemoRelay(ctx, databaseURL, logLevel)
			}
			return demo.Run(cmd.Context(), o)
		},
	}
	command.Flags().DurationVar(&o.For, "for", 0, "stop after so long; 0: go on until Ctrl-C")
	command.Flags().IntVar(&o.Attendees, "attendees", 0, "stop after so many acceptances; 0: no limit")
	command.Flags().DurationVar(&o.Pace, "pace", 700*time.Millisecond, "time between two registrations")
	command.Flags().StringVar(&logLevel, "log-level", logLevel, "what the relay logs: debug, info, warn or error")
	return command
}

// runDemoRelay runs the same relay as run does, configured through the same variables, as the role that the demo makes
// for it.
func (p *program) runDemoRelay(ctx context.Context, databaseURL, logLevel string) error {
	databaseURL, err := demo.RelayURL(databaseURL)
	if err != nil {
		return err
	}
	cfg, err := config.Load([]string{
		"DATABASE_URL=" + databaseURL,
		"DEPLOYMENT=demo",
		"DELIVERY_ALLOW_HTTP=true",
		"DELIVERY_ALLOW_NETWORKS=127.0.0.0/8",
		"ADMIN_ADDR=",
		"LOG_LEVEL=" + logLevel,
		"LOG_FORMAT=console",
	})
	if err != nil {
		return err
	}
	log, err := newLogger(cfg.Log.Level, cfg.Log.Format, p.stderr)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	return runRelay(ctx, cfg, log)
}
