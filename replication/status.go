package replication

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed status.sql
var statusSQL string

// SlotStatus is the state of the slot; the names are fixed by the public contract, section 6. A value is null if it is
// not known, because there is no slot, it is lost, or it could not be read.
type SlotStatus struct {
	Name        string  `json:"name"`
	Active      *bool   `json:"active"`
	WALStatus   *string `json:"wal_status"`
	Lag         *int64  `json:"lag_bytes"`
	RetainedWAL *int64  `json:"retained_wal_bytes"`
	// Holder is the application_name of the session that reads it, where the role may see it.
	Holder string `json:"-"`
}

// ReadSlotStatus reads the state of a slot.
func ReadSlotStatus(ctx context.Context, conn *pgx.Conn, name string) (SlotStatus, error) {
	s := SlotStatus{Name: name}
	err := ask(ctx, conn, fmt.Sprintf("reading replication slot %q", name), statusSQL, []any{name},
		&s.Active, &s.WALStatus, &s.Lag, &s.RetainedWAL, &s.Holder)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return s, err
	}
	if s.Active == nil { // there is none
		s.Active = new(bool)
	}
	return s, nil
}
