package main

import (
	"context"
	"fmt"
)

// singly runs an UPDATE of each attendee from first to last in a transaction of its own. They wait for no disk, so that
// making the work takes less than doing it; the server flushes them on its own.
func (d *database) singly(ctx context.Context, set string, first, last int) error {
	return d.exec(ctx, fmt.Sprintf(`do $$ begin
		set synchronous_commit = off;
		for n in %d..%d loop
			update attendees set %s where id = n;
			commit;
		end loop;
		reset synchronous_commit;
	end $$`, first, last, set))
}

const accepted = "status = 'Accepted'"

// registered is the id after which those of the attendees begin that a scenario adds.
const registered = 30_000_000

// register adds n attendees without answers in one transaction. event may depend on n.
func (d *database) register(ctx context.Context, n int, event, status string) error {
	return d.exec(ctx, fmt.Sprintf(`insert into attendees (id, event_id, name, surname, email, status)
		select %d + n, %s, 'Name ' || n, 'Surname ' || n, 'attendee' || n || '@example.net', '%s'
		  from generate_series(1, %d) n`, registered, event, status, n))
}

// withoutWebhook is the event whose acceptances are recorded and sent to nobody.
const withoutWebhook = "101"
