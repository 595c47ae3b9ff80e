package outbox

import (
	"errors"
	"fmt"
	"time"
)

// maxQueryTimeout keeps statement_timeout, which the server counts in milliseconds of an int, in a sensible range.
const maxQueryTimeout = time.Hour

// leastMaxBody is about what a body takes without any value; nothing above mostMaxBody is read.
const (
	leastMaxBody = 256
	mostMaxBody  = maxRow
)

// Validate reports everything that is wrong with the settings and can be seen without the database, but for DefaultURL:
// what may be sent to is for the sender to say. No value is shown.
func (c Config) Validate() (faults []error) {
	add := func(name, accepted string) { faults = append(faults, fmt.Errorf("%s: %s", name, accepted)) }

	switch c.Repeat {
	case "every":
	case "once":
		add("SOURCE_REPEAT", "once is not available yet in this version; leave it out or write every")
	default:
		add("SOURCE_REPEAT", "it must be every")
	}
	if c.Baseline != "mark" && c.Baseline != "send" {
		add("SOURCE_BASELINE", "it must be mark or send")
	}
	if c.Query != "" && c.QueryFile != "" {
		add("SOURCE_QUERY", "SOURCE_QUERY_FILE is set too; set one of them")
	}
	// 0 would switch statement_timeout off, and the server rounds less than a millisecond to it.
	if c.QueryTimeout < time.Millisecond || c.QueryTimeout > maxQueryTimeout {
		add("SOURCE_QUERY_TIMEOUT", "it must be 1ms to 1h")
	}
	if c.Settle < 0 {
		add("OUTBOX_SETTLE", "it must not be negative")
	}
	if c.Patience <= 0 {
		add("OUTBOX_PATIENCE", "it must be more than 0s")
	}
	if c.PayloadRetention <= 0 {
		add("OUTBOX_PAYLOAD_RETENTION", "it must be more than 0s")
	}
	if c.Retention <= 0 || c.Retention < c.PayloadRetention {
		add("OUTBOX_RETENTION", "it must be more than 0s and not less than OUTBOX_PAYLOAD_RETENTION: a row outlives its body")
	}
	return append(faults, c.validateBodies()...)
}

// validateBodies is Validate for the size of bodies.
func (c Config) validateBodies() []error {
	if c.MaxBody < leastMaxBody || c.MaxBody > mostMaxBody {
		return []error{errors.New("OUTBOX_MAX_BODY: it must be 256 bytes to 32MiB")}
	}
	return nil
}
