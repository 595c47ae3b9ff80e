package lab

import (
	"slices"
	"time"
)

// fault is one that lasts.
type fault struct {
	entry *entry
	until time.Time
	// heal ends it; false: it cannot be ended yet, and is tried again.
	heal func() bool
}

// outcome is what a kind made of its chance.
type outcome struct {
	// relay is the one that was struck, or everybody.
	relay int
	// detail is added to the kind's name.
	detail string
	lasts  time.Duration
	heal   func() bool
}

// kind is one sort of fault.
type kind struct {
	name   string
	weight int
	// begin strikes; false: there was nothing to strike just now.
	begin func(l *laboratory) (outcome, bool)
}

// quiet is the pause that a strike in twenty is: the relays catch up, and a healthy one is seen to be healthy.
const quiet = 5 * time.Second

// torment strikes at random moments and heals what is over, until the time is up; then it heals everything.
func (l *laboratory) torment(lasts time.Duration) {
	l.t.Helper()
	end := time.Now().Add(lasts)
	next := time.Now().Add(l.between(0, time.Second))
	for now := time.Now(); now.Before(end); now = time.Now() {
		if now.After(next) {
			l.strike()
			next = time.Now().Add(l.between(200*time.Millisecond, 1400*time.Millisecond))
			if l.random.IntN(20) == 0 {
				next = next.Add(quiet)
			}
		}
		l.heal(now)
		l.inspect()
		time.Sleep(20 * time.Millisecond)
	}
	l.healAll()
}

// between draws a duration.
func (l *laboratory) between(from, to time.Duration) time.Duration {
	return from + time.Duration(l.random.Int64N(int64(to-from)))
}

// strike draws a kind and brings it about.
func (l *laboratory) strike() {
	l.t.Helper()
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	drawn := l.random.IntN(total)
	for _, k := range kinds {
		if drawn -= k.weight; drawn >= 0 {
			continue
		}
		began := time.Now()
		o, struck := k.begin(l)
		if !struck {
			return
		}
		if o.detail != "" {
			o.detail = " " + o.detail
		}
		f := &fault{entry: l.journal.begin(k.name+o.detail, o.relay, began), until: time.Now().Add(o.lasts), heal: o.heal}
		l.t.Logf("%s: %s%s of relay %d for %v", l.journal.at(began), k.name, o.detail, o.relay,
			o.lasts.Round(time.Millisecond))
		if f.heal == nil {
			f.heal = func() bool { return true }
		}
		l.healing = append(l.healing, f)
		return
	}
}

// heal ends the faults that are over at a time.
func (l *laboratory) heal(at time.Time) {
	l.healing = slices.DeleteFunc(l.healing, func(f *fault) bool {
		if f.until.After(at) || !f.heal() {
			return false
		}
		l.journal.end(f.entry)
		return true
	})
}

// healAll ends everything at once.
func (l *laboratory) healAll() {
	l.t.Helper()
	forever := time.Now().Add(24 * time.Hour)
	for deadline := time.Now().Add(time.Minute); len(l.healing) > 0; time.Sleep(20 * time.Millisecond) {
		l.heal(forever)
		if time.Now().After(deadline) {
			l.t.Fatalf("%d faults could not be ended:\n%s", len(l.healing), l.journal.between(time.Now(), time.Now()))
		}
	}
}

// inspect fails the test when a relay ended by itself, and starts it again.
func (l *laboratory) inspect() {
	l.t.Helper()
	for _, r := range l.relays {
		select {
		case <-r.Ended():
		default:
			continue
		}
		if r.struck {
			continue
		}
		l.t.Errorf("relay %d ended by itself at %s with status %d", r.number, l.journal.at(time.Now()),
			r.Exit(l.t, time.Second))
		r.retire(l.t)
		r.start(l.t)
	}
}
