package outbox

import (
	"time"

	"attendee-relay/internal/bytesize"
)

// Config says how acceptances become messages and how long messages are kept; the names of the variables are fixed by
// the public contract, section 5.
type Config struct {
	// Repeat is every (each acceptance is announced) or once.
	Repeat string `env:"SOURCE_REPEAT, default=every"`
	// Baseline is mark (rows accepted before the first start are remembered) or send (they are announced).
	Baseline string `env:"SOURCE_BASELINE, default=mark"`
	// QueryFile is the path of the payload query; Query is its text. Neither: the query of the reference schema.
	QueryFile string `env:"SOURCE_QUERY_FILE"`
	Query     string `env:"SOURCE_QUERY"`
	// QueryTimeout is the payload query's statement_timeout.
	QueryTimeout time.Duration `env:"SOURCE_QUERY_TIMEOUT, default=10s"`
	// Settle is an extra wait after the commit before the query runs.
	Settle time.Duration `env:"OUTBOX_SETTLE, default=0s"`
	// Patience is how long an acceptance whose query gives no row is evaluated again.
	Patience time.Duration `env:"OUTBOX_PATIENCE, default=15m"`
	// MaxBody is the most bytes that a body may have: a message with a larger one is dead from the start.
	MaxBody bytesize.Size `env:"OUTBOX_MAX_BODY, default=4MiB"`
	// PayloadRetention is how long bodies and responses are kept, Retention how long rows are.
	PayloadRetention time.Duration `env:"OUTBOX_PAYLOAD_RETENTION, default=720h"`
	Retention        time.Duration `env:"OUTBOX_RETENTION, default=2160h"`
	// DefaultURL receives the messages of rows whose webhook_url is NULL or blank; empty: they are skipped.
	DefaultURL string `env:"DELIVERY_DEFAULT_URL"`
}
