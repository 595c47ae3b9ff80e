package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"attendee-relay/demo"
	"attendee-relay/internal/pgserver"
)

//go:embed reference.sql
var reference string

// template is the database that the others are copied from.
const template = "reference"

// attendees wait in the template to be accepted.
const attendees = 60_000

// serverSettings are those of a small production server, durable commits and all.
var serverSettings = map[string]string{
	"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min",
	"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_planning": "on",
	"pg_stat_statements.track_utility": "on",
}

// bench is what the scenarios share: a Postgres, the relay's binary, a receiver.
type bench struct {
	options  options
	dir      string
	binary   string
	self     string
	server   *pgserver.Server
	receiver *receiver
	// grown are the databases of the growth scenario by name, which are filled once.
	grown map[string]*database
}

// open makes all that the scenarios share; close takes it away.
func open(ctx context.Context, o options) (b *bench, err error) {
	b = &bench{options: o, grown: map[string]*database{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close(context.WithoutCancel(ctx)))
		}
	}()
	if b.dir, err = scratch(); err != nil {
		return b, err
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o750); err != nil {
			return b, fmt.Errorf("making the directory of --profile: %w", err)
		}
	}
	if b.self, err = os.Executable(); err != nil {
		return b, fmt.Errorf("finding the bench's own program: %w", err)
	}
	if err := b.build(ctx); err != nil {
		return b, err
	}
	if b.receiver, err = b.startReceiver(ctx); err != nil {
		return b, err
	}
	if b.server, err = pgserver.Start(ctx, pgserver.Options{Settings: serverSettings}); err != nil {
		return b, fmt.Errorf("starting a Postgres: %w", err)
	}
	return b, b.makeTemplate(ctx)
}

func (b *bench) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var failed []error
	if b.receiver != nil {
		failed = append(failed, b.receiver.stop())
	}
	for _, d := range b.grown {
		failed = append(failed, d.conn.Close(ctx))
	}
	if b.server != nil {
		failed = append(failed, b.server.Stop(ctx))
	}
	if b.dir != "" {
		failed = append(failed, os.RemoveAll(b.dir))
	}
	return errors.Join(failed...)
}

// build makes the relay's binary of the sources here, as the image has it (Dockerfile).
func (b *bench) build(ctx context.Context) error {
	b.binary = filepath.Join(b.dir, "attendee-relay")
	arguments := []string{"build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", b.binary}
	if b.options.profile != "" {
		arguments = append(arguments, "-tags", "profile")
	}
	command := exec.CommandContext(ctx, "go", append(arguments, "attendee-relay/cmd/attendee-relay")...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the relay: %w: %s", err, output)
	}
	return nil
}

func (b *bench) makeTemplate(ctx context.Context) error {
	if err := execute(ctx, b.server.URL("postgres"), "create database "+template); err != nil {
		return err
	}
	settings := fmt.Sprintf("set bench.url = '%s/0s'; set bench.attendees = %d;", b.receiver.url, b.size(attendees))
	err := execute(ctx, b.server.URL(template),
		settings+demo.Schema+demo.Access+reference+"create extension pg_stat_statements;")
	// Left to autovacuum, this would be done while something is measured.
	return errors.Join(err, execute(ctx, b.server.URL(template), "vacuum (freeze, analyze)"))
}
