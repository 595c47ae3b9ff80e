package lab

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// everybody is the relay's number of a fault that strikes all of them.
const everybody = -1

// entry is a fault that happened. A process that died is back only with its entry's end.
type entry struct {
	kind         string
	relay        int
	began, ended time.Time // ended is zero while it lasts
}

// journal holds all faults of a run.
type journal struct {
	mu      sync.Mutex
	start   time.Time
	entries []*entry
}

func newJournal() *journal { return &journal{start: time.Now()} }

func (j *journal) begin(kind string, relay int, began time.Time) *entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := &entry{kind: kind, relay: relay, began: began}
	j.entries = append(j.entries, e)
	return e
}

func (j *journal) end(e *entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.ended = time.Now()
}

// touching returns the first fault of these kinds (none named: any kind) that reached into the time from..to and
// concerned the relay, or nil. A fault of everybody concerns each relay; everybody as the relay asks for any.
func (j *journal) touching(relay int, from, to time.Time, kinds ...string) *entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		concerned := relay == everybody || e.relay == everybody || e.relay == relay
		if concerned && e.began.Before(to) && (e.ended.IsZero() || e.ended.After(from)) && among(e.kind, kinds) {
			return e
		}
	}
	return nil
}

// among reports whether a kind is one of these, or they name none. "stall up" is a stall.
func among(kind string, kinds []string) bool {
	for _, k := range kinds {
		if strings.HasPrefix(kind, k) {
			return true
		}
	}
	return len(kinds) == 0
}

// counts returns how often each kind came, by its first word.
func (j *journal) counts() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := map[string]int{}
	for _, e := range j.entries {
		first, _, _ := strings.Cut(e.kind, " ")
		counts[first]++
	}
	return counts
}

func (j *journal) String() string {
	return j.between(j.start, time.Now())
}

// between lists the faults that reached into a time.
func (j *journal) between(from, to time.Time) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var text strings.Builder
	for _, e := range j.entries {
		if e.began.After(to) || !e.ended.IsZero() && e.ended.Before(from) {
			continue
		}
		fmt.Fprintf(&text, "%9.3f s to ", e.began.Sub(j.start).Seconds())
		if e.ended.IsZero() {
			text.WriteString("      now  ")
		} else {
			fmt.Fprintf(&text, "%9.3f s", e.ended.Sub(j.start).Seconds())
		}
		fmt.Fprintf(&text, "  %s", e.kind)
		if e.relay != everybody {
			fmt.Fprintf(&text, " of relay %d", e.relay)
		}
		text.WriteString("\n")
	}
	return text.String()
}

// at says when something was, as the journal counts time.
func (j *journal) at(moment time.Time) string {
	return fmt.Sprintf("%.3f s", moment.Sub(j.start).Seconds())
}
