package main

import (
	"context"
	"fmt"
	"time"
)

// bulkRows are accepted by one transaction.
const bulkRows = 1_000_000

var (
	bulkSeconds = &figure{"bulk: from the commit until all acceptances are messages, skipped", "s", ""}
	bulkCPU     = &figure{"bulk: relay's CPU an acceptance", "us", ""}
	bulkServer  = &figure{"bulk: Postgres's CPU an acceptance, after the commit", "us", ""}
	bulkMemory  = &figure{"bulk: RSS", "MiB", "<= 96"}
)

// bulk accepts a million attendees of an event without a webhook in one transaction, beside a relay.
func bulk(ctx context.Context, b *bench) (samples []sample, err error) {
	err = b.within(ctx, "bulk", func(d *database) error {
		return d.withRelay(ctx, func(r *relay) (err error) {
			samples, err = d.bulk(ctx, r)
			return err
		})
	})
	return samples, err
}

// bulkRecorded: the spool is applied, and what it left to be evaluated has been.
const bulkRecorded = `select spool_step is null and exists (select from attendee_relay.message)
		and not exists (select from attendee_relay.acceptance where state = 'waiting')
	from attendee_relay.checkpoint`

func (d *database) bulk(ctx context.Context, r *relay) ([]sample, error) {
	if err := d.awaitStreaming(ctx); err != nil {
		return nil, err
	}
	relayBefore, err := cpuOf(r.pid())
	if err != nil {
		return nil, err
	}
	n := d.b.size(bulkRows)
	if err := d.register(ctx, n, withoutWebhook, "Accepted"); err != nil {
		return nil, err
	}
	committed := time.Now()
	before, err := d.b.spent(r)
	if err != nil {
		return nil, err
	}
	err = d.await(ctx, 20*time.Minute, 100*time.Millisecond, "all acceptances are recorded", bulkRecorded)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(committed).Seconds()
	after, err := d.b.spent(r)
	if err != nil {
		return nil, err
	}
	most, err := peakMemory(r.pid())
	if err != nil {
		return nil, err
	}
	all := float64(n)
	return []sample{
		{bulkSeconds, seconds}, {bulkCPU, 1e6 * (after.relay - relayBefore) / all},
		{bulkServer, 1e6 * after.since(before).postgres / all}, {bulkMemory, most},
	}, d.checkSkipped(ctx, n, "0/0")
}

// checkSkipped refuses figures of a run that did not record each of the first n registered attendees as one skipped
// message, and come past a position in the WAL.
func (d *database) checkSkipped(ctx context.Context, n int, position string) error {
	found, err := value[string](ctx, d, `select format('%s messages of %s attendees, %s of them skipped; the WAL %s read',
			count(*), count(distinct m.attendee_id),
			count(*) filter (where s.state = 'skipped' and m.attendee_id::bigint between $1 and $2),
			case when (select lsn from attendee_relay.checkpoint) > $3::text::pg_lsn then 'is' else 'is not' end)
		from attendee_relay.message m left join attendee_relay.settled s using (id)`, registered+1, registered+n, position)
	want := fmt.Sprintf("%d messages of %d attendees, %d of them skipped; the WAL is read", n, n, n)
	if err == nil && found != want {
		err = fmt.Errorf("the relay recorded %s; it should have been: %s", found, want)
	}
	return err
}
