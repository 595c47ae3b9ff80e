package replication

import "time"

// Config says which rows are watched and by which slot and publication; the names of the variables are fixed by the
// public contract, section 5.
type Config struct {
	// Table is the watched table, schema-qualified, in verbatim case.
	Table string `env:"SOURCE_TABLE, default=public.attendees"`
	// Key is the column whose value is handed to the payload query.
	Key string `env:"SOURCE_KEY, default=id"`
	// Status is the column that says whether a row is accepted.
	Status string `env:"SOURCE_STATUS, default=status"`
	// Accepted lists the status values that mean accepted, compared with the text form.
	Accepted []string `env:"SOURCE_ACCEPTED, default=Accepted"`

	// Slot is the logical replication slot.
	Slot string `env:"REPLICATION_SLOT, default=attendee_relay"`
	// Publication is the publication that holds the watched table.
	Publication string `env:"REPLICATION_PUBLICATION, default=attendee_relay"`
	// Setup is auto (make what is missing) or manual (only check).
	Setup string `env:"REPLICATION_SETUP, default=auto"`
	// OnLoss is resync or stop: what to do when the slot is lost.
	OnLoss string `env:"REPLICATION_ON_LOSS, default=resync"`
	// Failover asks for a failover slot on Postgres 17 and later.
	Failover bool `env:"REPLICATION_FAILOVER, default=true"`
	// Takeover is how long a silent leader keeps the slot; it becomes the session's wal_sender_timeout.
	Takeover time.Duration `env:"REPLICATION_TAKEOVER, default=10s"`
}
