package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"attendee-relay/admin"
	"attendee-relay/config"
	"attendee-relay/delivery"
	"attendee-relay/internal/fault"
	"attendee-relay/internal/postgres"
	"attendee-relay/outbox"
	"attendee-relay/replication"
)

// captureConns are the connections that capture has outside the pool: the writer, its reader, the resolver's two (one
// of them only while keys fail), and one that sets up and later looks at the catalog now and then. The walsender is not
// counted by DATABASE_MAX_CONNS: Postgres has max_wal_senders for it.
const captureConns = 5

func newRunCommand(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Capture acceptances and deliver them until told to stop",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(p.environ)
			if err != nil {
				return err
			}
			log, err := newLogger(cfg.Log.Level, cfg.Log.Format, p.stderr)
			if err != nil {
				return err
			}
			defer func() { _ = log.Sync() }()
			// Otherwise a write to a log pipe that somebody has closed ends the process (package os/signal).
			signal.Ignore(syscall.SIGPIPE)
			return runRelay(cmd.Context(), cfg, log)
		},
	}
}

// relay is one process's stages, wired.
type relay struct {
	pool       *postgres.Connections
	capture    *replication.Capture
	recorder   *outbox.Recorder
	resolver   *outbox.Resolver
	retention  *outbox.Retention
	dispatcher *delivery.Dispatcher
	admin      *admin.Server
	board      *fault.Board
	deliver    bool
	log        *zap.Logger
}

// runRelay runs the relay until ctx ends. Faults in the database keep it up; it returns an error only for what is wrong
// without one.
func runRelay(ctx context.Context, cfg *config.Config, log *zap.Logger) error {
	restore := captureLibraries(log)
	defer restore()
	pool, err := postgres.Pool(cfg.Database.URL, "attendee-relay/"+cfg.Deployment+" delivery",
		max(1, cfg.Database.MaxConns-captureConns), cfg.Database.Pooled(), outbox.PrepareSession)
	if err != nil {
		return err
	}
	r, err := newRelay(ctx, cfg, pool, log)
	if err != nil {
		pool.Close()
		return err
	}
	log.Info("attendee-relay starts", zap.String("version", buildVersion()), zap.String("deployment", cfg.Deployment))
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	return r.await(ctx, cfg.ShutdownTimeout, ended)
}

// newRelay wires the stages and takes ADMIN_ADDR; nothing runs yet.
func newRelay(ctx context.Context, cfg *config.Config, pool *postgres.Connections, log *zap.Logger) (*relay, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		outbox.NewStats(pool, log))
	board := fault.NewBoard()
	r := &relay{pool: pool, board: board, deliver: cfg.Delivery.Enabled, log: log}

	sender, err := delivery.NewSender(cfg.Delivery, buildVersion())
	if err != nil {
		return nil, err
	}
	r.recorder, err = outbox.NewRecorder(cfg.Outbox, settings(cfg), cfg.Database.ReplicationURL, cfg.Deployment, board,
		outbox.Signals{Messages: func() { r.dispatcher.Nudge() }, Waiting: func() { r.resolver.Nudge() }}, log)
	if err != nil {
		return nil, &config.Error{Faults: []string{err.Error()}}
	}
	r.recorder.Register(registry)
	unsent := outbox.NewUnsent(registry, log)
	r.recorder.Report(unsent)
	r.capture = replication.NewCapture(cfg.Replication, cfg.Database.ReplicationURL, cfg.Deployment, r.recorder,
		r.recorder, board, log)
	r.capture.Preflight = firstStart(cfg)
	r.capture.Register(registry)
	r.resolver = outbox.NewResolver(r.recorder, r.capture.Leading)
	r.retention = outbox.NewRetention(pool, cfg.Outbox, r.capture.Leading, board, log)
	breaker := outbox.Breaker{Failures: cfg.Delivery.BreakerFailures, Probe: cfg.Delivery.BreakerProbe}
	queue := outbox.NewQueue(pool, cfg.Deployment, breaker, r.resolver.Lookup)
	r.retention.Report(unsent)
	queue.Report(unsent)
	queue.AskBy(cfg.Delivery.RetrySchedule)
	queue.LogTo(log)
	r.dispatcher = delivery.NewDispatcher(cfg.Delivery, cfg.ShutdownTimeout-closing(cfg.ShutdownTimeout), queue, sender,
		delivery.NewMetrics(registry), board, log)
	r.recorder.HandOver(r.dispatcher.Senders())
	r.admin = admin.New(cfg.Admin, r.role, board, registry, log)
	if _, err := r.admin.Listen(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// closing is the end of SHUTDOWN_TIMEOUT, kept for closing the connections after the stages have finished.
func closing(shutdown time.Duration) time.Duration { return min(shutdown/10, time.Second) }

// await returns run's result. It waits no longer than SHUTDOWN_TIMEOUT: a Postgres that hangs, or commits that wait for
// its standby, would keep the process until it is killed. Work that is cut off then is as safe as in a crash.
func (r *relay) await(ctx context.Context, shutdown time.Duration, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(shutdown)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		r.log.Error("SHUTDOWN_TIMEOUT ended before everything was closed; the next start continues where this one stopped")
		return nil
	}
}

// run owns the stages' goroutines. Each stage finishes what it holds when the context ends; the admin server answers
// until the others are done, so that a slow end can be watched.
func (r *relay) run(ctx context.Context) error {
	watched, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	adminDone := make(chan error, 1)
	go func() { adminDone <- r.admin.Run(watched) }()

	stages, ctx := errgroup.WithContext(ctx)
	stages.Go(func() error { return r.capture.Run(ctx) })
	stages.Go(func() error { return r.resolver.Run(ctx) })
	stages.Go(func() error { return r.retention.Run(ctx) })
	if r.deliver {
		stages.Go(func() error { return r.dispatcher.Run(ctx) })
	}
	stages.Go(func() error { return newMemory().run(ctx) })
	stages.Go(func() error {
		r.board.Watch(ctx, r.report)
		return nil
	})
	err := stages.Wait()
	r.resolver.Close(context.WithoutCancel(ctx))
	r.recorder.Close(context.WithoutCancel(ctx))
	stopWatching()
	if adminErr := <-adminDone; err == nil && adminErr != nil {
		err = fmt.Errorf("serving health and metrics: %w", adminErr)
	}
	r.pool.Close()
	r.log.Info("attendee-relay has stopped")
	return err
}

// report logs that a stage stopped, why, and that it goes on.
func (r *relay) report(f fault.Fault, held bool) {
	if held {
		r.log.Error("a stage is stuck", zap.String("fault", string(f.Code)), zap.String("reason", f.Message))
		return
	}
	r.log.Info("a stage works again", zap.String("fault", string(f.Code)),
		zap.Duration("after", time.Since(f.Since).Round(time.Millisecond)))
}

func (r *relay) role() admin.Role {
	switch {
	case r.capture.Leading():
		return admin.Leader
	case r.capture.StandingBy():
		return admin.Standby
	case r.capture.Led():
		return admin.Resuming
	default:
		return admin.Starting
	}
}

// settings are those that the ledger was made with.
func settings(cfg *config.Config) outbox.Settings {
	return outbox.Settings{Table: cfg.Replication.Table, Key: cfg.Replication.Key, Status: cfg.Replication.Status,
		Accepted: cfg.Replication.Accepted, Repeat: cfg.Outbox.Repeat}
}
