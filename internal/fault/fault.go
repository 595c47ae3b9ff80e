// Package fault names what stops the relay from doing its work, in words an operator can act on.
//
// It turns a problem found anywhere (a lost slot, a missing grant) into a stable code with a message and, where there
// is one, the SQL that fixes it; Board keeps the faults that hold now, for /readyz, the metrics and status. A Task
// watches that a stage gets on with its work and raises a fault when it does not, whatever the reason. Every stage
// raises faults; only admin reads them.
package fault

import (
	"fmt"
	"time"
)

// Code is the stable name of a kind of fault; the documentation has a page for each.
type Code string

// The codes of the public contract, section 6.
const (
	WALLevel            Code = "wal_level"
	Privilege           Code = "privilege"
	SourceMissing       Code = "source_missing"
	SourceChanged       Code = "source_changed"
	SourceDrift         Code = "source_drift"
	NoReplicaIdentity   Code = "no_replica_identity"
	PublicationMissing  Code = "publication_missing"
	PublicationUnsafe   Code = "publication_unsafe"
	SlotMissing         Code = "slot_missing"
	SlotLost            Code = "slot_lost"
	SlotBusy            Code = "slot_busy"
	SlotsExhausted      Code = "slots_exhausted"
	ClusterChanged      Code = "cluster_changed"
	LSNBehind           Code = "lsn_behind"
	InRecovery          Code = "in_recovery"
	SchemaNewer         Code = "schema_newer"
	RowSecurity         Code = "row_security"
	QueryInvalid        Code = "query_invalid"
	QueryFailing        Code = "query_failing"
	DatabaseUnreachable Code = "database_unreachable"
	EncodingUnsupported Code = "encoding_unsupported"
	CaptureFailing      Code = "capture_failing"
	RenderingFailing    Code = "rendering_failing"
	DeliveryFailing     Code = "delivery_failing"
)

// Further codes.
const (
	// SlotPending: the slot is being made, which waits for every transaction that was open before.
	SlotPending Code = "slot_pending"
	// StartPending: capture is starting, and a step takes long.
	StartPending Code = "start_pending"
	// RetentionFailing: what is too old is not erased.
	RetentionFailing Code = "retention_failing"
)

// Codes lists every code, so that metrics and documentation can be checked against it.
var Codes = []Code{
	WALLevel, Privilege, SourceMissing, SourceChanged, SourceDrift, NoReplicaIdentity, PublicationMissing,
	PublicationUnsafe, SlotMissing, SlotLost, SlotBusy, SlotsExhausted, ClusterChanged, LSNBehind, InRecovery,
	SchemaNewer, RowSecurity, QueryInvalid, QueryFailing, DatabaseUnreachable, EncodingUnsupported,
	CaptureFailing, RenderingFailing, DeliveryFailing, SlotPending, StartPending, RetentionFailing,
}

// Stage is a part of the relay's work.
type Stage int

// The stages, by what stops when one of them has a fault.
const (
	// Capture reads the stream and records acceptances. Its faults keep a process from leading.
	Capture Stage = iota
	// Rendering turns acceptances into messages.
	Rendering
	// Delivery sends messages.
	Delivery
	// Upkeep erases what is old; nobody waits for it.
	Upkeep
)

// Stage returns the stage that a fault of this code stops.
func (c Code) Stage() Stage {
	switch c {
	case QueryInvalid, QueryFailing, RenderingFailing:
		return Rendering
	case DeliveryFailing:
		return Delivery
	case RetentionFailing:
		return Upkeep
	default:
		return Capture
	}
}

// Fault is one thing that is wrong, with the SQL or setting that fixes it. It is an error, so that the step that
// finds it can return it.
type Fault struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	// Since is when the fault was raised; it is kept while the fault holds.
	Since time.Time `json:"since"`
	// Partial: the stage works all the same, but for single keys or endpoints, or for a part that nobody waits for.
	Partial bool `json:"-"`
}

// Error implements error.
func (f *Fault) Error() string {
	if f.Fix == "" {
		return fmt.Sprintf("%s: %s", f.Code, f.Message)
	}
	return fmt.Sprintf("%s: %s; to fix it: %s", f.Code, f.Message, f.Fix)
}

// Denied is a fault for a question that the role has no right to ask: the answer is not known.
type Denied struct{ *Fault }

// Unwrap gives errors.As the fault.
func (d Denied) Unwrap() error { return d.Fault }

// New makes a fault with a formatted message.
func New(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithFix returns the fault with the statement or setting that fixes it.
func (f *Fault) WithFix(fix string) *Fault {
	f.Fix = fix
	return f
}

// Partially returns the fault as one that does not stop its stage.
func (f *Fault) Partially() *Fault {
	f.Partial = true
	return f
}
