package delivery

import (
	"time"

	"github.com/google/uuid"
)

// latelyTime is how long an endpoint counts at least.
const latelyTime = time.Second

// lately counts the endpoints that have begun a request within the last latelyTime, or twice that.
type lately struct {
	since       time.Time
	now, before map[uuid.UUID]struct{}
}

func (l *lately) note(endpoint uuid.UUID, now time.Time) {
	if passed := now.Sub(l.since); passed >= latelyTime {
		l.before, l.now = l.now, map[uuid.UUID]struct{}{}
		if passed >= 2*latelyTime {
			l.before = nil
		}
		l.since = now
	}
	l.now[endpoint] = struct{}{}
}

func (l *lately) count() int { return max(len(l.now), len(l.before)) }
