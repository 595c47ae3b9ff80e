package outbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// snapshot is a Postgres snapshot (pg_current_snapshot, PostgreSQL 13 and later): every transaction below xmin has
// ended, none from xmax on has, and inProgress lists those between that have not.
type snapshot struct {
	xmin, xmax uint64
	inProgress []uint64
}

func parseSnapshot(text string) (snapshot, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return snapshot{}, fmt.Errorf("reading the snapshot %q: it has not three parts", text)
	}
	var s snapshot
	var err error
	if s.xmin, err = strconv.ParseUint(parts[0], 10, 64); err != nil {
		return snapshot{}, fmt.Errorf("reading the snapshot %q: %w", text, err)
	}
	if s.xmax, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return snapshot{}, fmt.Errorf("reading the snapshot %q: %w", text, err)
	}
	if parts[2] == "" {
		return s, nil
	}
	for _, part := range strings.Split(parts[2], ",") {
		xid, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return snapshot{}, fmt.Errorf("reading the snapshot %q: %w", text, err)
		}
		s.inProgress = append(s.inProgress, xid)
	}
	return s, nil
}

// sees reports whether the snapshot shows the changes of the committed transaction with this 32-bit id. The stream runs
// ahead: the walsender may send a commit before other sessions see it.
func (s snapshot) sees(xid uint32) bool {
	full := s.full(xid)
	return full < s.xmin || full < s.xmax && !slices.Contains(s.inProgress, full)
}

// full adds the epoch to a 32-bit id: of all 64-bit ids that end in it, the one nearest to xmax. Ids in use are never
// 2^31 apart.
func (s snapshot) full(xid uint32) uint64 {
	return s.xmax + uint64(int64(int32(xid-uint32(s.xmax)))) //nolint:gosec // arithmetic modulo 2^32 is meant
}
