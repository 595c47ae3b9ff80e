// Package fault names what stops the relay from doing its work, in words an operator can act on.
//
// It turns a problem found anywhere (a lost slot, a missing grant) into a stable code with a message and, where there is
// one, the SQL that mends it; Board keeps the faults that hold now, for /readyz, the metrics and status. Every stage
// raises faults; only admin reads them.
package fault

import (
	"fmt"
	"slices"
	"strings"
	"sync"
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
)

// Further codes.
const (
	// SlotPending: the slot is being made, which waits for every transaction that was open before.
	SlotPending Code = "slot_pending"
)

// Codes lists every code, so that metrics and documentation can be checked against it.
var Codes = []Code{
	WALLevel, Privilege, SourceMissing, SourceChanged, SourceDrift, NoReplicaIdentity, PublicationMissing,
	PublicationUnsafe, SlotMissing, SlotLost, SlotBusy, SlotsExhausted, ClusterChanged, LSNBehind, InRecovery,
	SchemaNewer, RowSecurity, QueryInvalid, QueryFailing, DatabaseUnreachable, EncodingUnsupported,
	SlotPending,
}

// Fault is one thing that is wrong: what, and the SQL or setting that mends it. It is an error, so that the step that
// finds it can return it.
type Fault struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
	// Partial: the stage works all the same, but for single keys or endpoints, or for a part that nobody waits for.
	Partial bool `json:"-"`
}

// Error implements error.
func (f *Fault) Error() string {
	if f.Fix == "" {
		return fmt.Sprintf("%s: %s", f.Code, f.Message)
	}
	return fmt.Sprintf("%s: %s; to mend it: %s", f.Code, f.Message, f.Fix)
}

// New makes a fault with a formatted message.
func New(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithFix returns the fault with the statement or setting that mends it.
func (f *Fault) WithFix(fix string) *Fault {
	f.Fix = fix
	return f
}

// Partially returns the fault as one that does not stop its stage.
func (f *Fault) Partially() *Fault {
	f.Partial = true
	return f
}

// Board holds the faults that are true now, one a code. It is safe for concurrent use.
type Board struct {
	mu     sync.Mutex
	faults map[Code]Fault
}

// NewBoard returns an empty board.
func NewBoard() *Board { return &Board{faults: map[Code]Fault{}} }

// Raise shows f until Clear; it replaces an earlier fault of the same code and reports whether the board changed, so
// that a caller logs a lasting fault once.
func (b *Board) Raise(f *Fault) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, had := b.faults[f.Code]
	b.faults[f.Code] = *f
	return !had || before != *f
}

// Clear takes the faults of these codes off the board and reports whether any was there.
func (b *Board) Clear(codes ...Code) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, code := range codes {
		if _, had := b.faults[code]; had {
			delete(b.faults, code)
			changed = true
		}
	}
	return changed
}

// List returns the faults that hold now, in the order of their codes.
func (b *Board) List() []Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Fault, 0, len(b.faults))
	for _, f := range b.faults {
		list = append(list, f)
	}
	slices.SortFunc(list, func(x, y Fault) int { return strings.Compare(string(x.Code), string(y.Code)) })
	return list
}
