package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// captured is how many transactions of one row wait in the slot.
const captured = 100_000

// captureKind is a kind of transaction that is captured: edits announce nothing until the very end, acceptances are all
// announced.
type captureKind struct {
	acceptances            func(transactions int) int
	rate, peer, share, cpu *figure
}

func captureKindOf(name string, acceptances func(int) int) captureKind {
	return captureKind{
		acceptances,
		&figure{"capture of " + name + ": transactions", "1/s", ""},
		&figure{"capture of " + name + ": pg_recvlogical's", "1/s", ""},
		&figure{"capture of " + name + ": share of pg_recvlogical's rate", "", ">= 0.45"},
		&figure{"capture of " + name + ": relay's CPU a transaction", "us", ""},
	}
}

var captureKinds = []captureKind{
	captureKindOf("edits", func(int) int { return 1 }),
	captureKindOf("acceptances", func(all int) int { return all }),
}

// capture has the relay, with deliveries off, and pg_recvlogical read the same transactions, each from a slot of its
// own.
func capture(ctx context.Context, b *bench) (samples []sample, err error) {
	n := b.size(captured)
	for _, kind := range captureKinds {
		err := b.within(ctx, "capture", func(d *database) error {
			w, err := d.prepareCapture(ctx, n, kind.acceptances(n))
			if err != nil {
				return err
			}
			peer, err := d.receiveLogically(ctx, w)
			if err != nil {
				return err
			}
			seconds, cpu, err := d.capture(ctx, w)
			all := float64(n)
			samples = append(samples, sample{kind.rate, all / seconds}, sample{kind.peer, all / peer},
				sample{kind.share, peer / seconds}, sample{kind.cpu, 1e6 * cpu / all})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// captureSettings are those of a relay that sends nothing.
const captureSettings = "DELIVERY_ENABLED=false"

// captureWork is what waits to be captured: its last transaction is an acceptance, which began after lastBegan, and all
// of it ended before end.
type captureWork struct {
	acceptances    int
	lastBegan, end string
}

// peerSlot is pg_recvlogical's.
const peerSlot = "bench_peer"

const walPosition = "select pg_current_wal_insert_lsn()::text"

// prepareCapture makes both slots, then the transactions.
func (d *database) prepareCapture(ctx context.Context, transactions, acceptances int) (w captureWork, err error) {
	w.acceptances = acceptances
	err = errors.Join(d.register(ctx, acceptances, withoutWebhook, "Pending"), d.rest(ctx, captureSettings),
		d.exec(ctx, "select pg_create_logical_replication_slot($1, 'pgoutput')", peerSlot))
	for left := transactions - acceptances; left > 0 && err == nil; left -= d.b.size(attendees) {
		err = d.singly(ctx, fmt.Sprintf("email = '%d.' || email", left), 1, min(left, d.b.size(attendees)))
	}
	if err != nil {
		return w, err
	}
	last := registered + acceptances
	if err := d.singly(ctx, accepted, registered+1, last-1); err != nil {
		return w, err
	}
	if w.lastBegan, err = value[string](ctx, d, walPosition); err != nil {
		return w, err
	}
	if err := d.singly(ctx, accepted, last, last); err != nil {
		return w, err
	}
	if w.end, err = value[string](ctx, d, walPosition); err != nil {
		return w, err
	}
	return w, d.exec(ctx, "checkpoint")
}

// receiveLogically returns how many seconds pg_recvlogical took.
func (d *database) receiveLogically(ctx context.Context, w captureWork) (float64, error) {
	program, err := d.b.server.Program("pg_recvlogical")
	if err != nil {
		return 0, err
	}
	began := time.Now()
	_, err = tool(ctx, program, "--dbname", d.url, "--slot", peerSlot, "--start", "--endpos", w.end,
		"--no-loop", "--file", os.DevNull, "-o", "proto_version=1", "-o", "publication_names=attendee_relay")
	seconds := time.Since(began).Seconds()
	read := fmt.Sprintf(
		"select confirmed_flush_lsn >= '%s' from pg_replication_slots where slot_name = '%s'", w.end, peerSlot)
	return seconds, errors.Join(err,
		d.await(ctx, 10*time.Second, 10*time.Millisecond, "pg_recvlogical has read everything", read))
}

// capture returns how many seconds a relay took, from its start, and how many of CPU time.
func (d *database) capture(ctx context.Context, w captureWork) (seconds, cpu float64, err error) {
	err = d.withRelay(ctx, func(r *relay) error {
		d.b.profileRelay(ctx, r)
		recorded := fmt.Sprintf("select exists (select from attendee_relay.message where attendee_id = '%d')",
			registered+w.acceptances)
		err := d.await(ctx, 5*time.Minute, 5*time.Millisecond, "the last acceptance is recorded", recorded)
		if err != nil {
			return err
		}
		seconds = time.Since(r.began).Seconds()
		if cpu, err = cpuOf(r.pid()); err != nil {
			return err
		}
		return d.checkSkipped(ctx, w.acceptances, w.lastBegan)
	}, captureSettings)
	return seconds, cpu, err
}
