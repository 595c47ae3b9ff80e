package lab

import (
	"context"
	"time"
)

// caughtUp is how long the relays may take to record everything before the slot is dropped; else it is left alone.
const caughtUp = 15 * time.Second

// loseSlot drops the slot, and with it all changes that were not streamed yet. Rows that left the accepted and came
// back meanwhile are known to the truth alone, so no row leaves from before the loss until the relays have compared
// ledger and table.
func loseSlot(l *laboratory) (outcome, bool) {
	if !*slotLoss || l.down || l.load.gentle {
		return outcome{}, false
	}
	var gaps int
	if err := l.value(&gaps, closedGaps); err != nil {
		return outcome{}, false
	}
	l.load.soften(true)
	if !l.catchUp() || !l.dropSlot() {
		l.load.soften(false)
		return outcome{}, false
	}
	return outcome{relay: everybody, heal: func() bool {
		var now int
		if err := l.value(&now, closedGaps); err != nil || now == gaps {
			return false
		}
		l.load.soften(false)
		return true
	}}, true
}

const closedGaps = "select count(*) from attendee_relay.gap where ended_at is not null"

// catchUp waits until the relays have recorded what is committed by now.
func (l *laboratory) catchUp() bool {
	var end string
	if err := l.value(&end, "select pg_current_wal_insert_lsn()::text"); err != nil {
		return false
	}
	for deadline := time.Now().Add(caughtUp); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		l.heal(time.Now())
		var there bool
		if err := l.value(&there, "select lsn >= $1::pg_lsn from attendee_relay.checkpoint", end); err == nil && there {
			return true
		}
	}
	return false
}

// dropSlot takes the slot from whoever holds it, before that one or another takes it back.
func (l *laboratory) dropSlot() bool {
	for range 50 {
		_ = l.exec("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1", l.db.Name())
		if l.exec("select pg_drop_replication_slot($1)", l.db.Name()) == nil {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// value runs a query for one value, or says why it could not.
func (l *laboratory) value(into any, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return l.pool.QueryRow(ctx, sql, args...).Scan(into)
}
