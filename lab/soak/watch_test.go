package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// silent is how long work may rest without a fault: 10 s (contract 6), and time for the sampling.
const silent = 15 * time.Second

// watch looks at /readyz and at the books all the time.
type watch struct {
	site   *site
	log    *journal
	cancel context.CancelFunc
	done   sync.WaitGroup
	client http.Client

	mu       sync.Mutex
	showing  map[string]time.Time // the faults that show now
	shown    map[string]int
	unasked  []string // faults without a cause
	stopped  []string // work that rested without a fault
	last     sample
	progress [2]time.Time // when recording and first attempts last got on
}

// sample is how far the work has advanced.
type sample struct {
	Accepted, Recorded, Untried int64
}

func startWatch(t *testing.T, s *site, log *journal) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{site: s, log: log, cancel: cancel, client: http.Client{Timeout: 2 * time.Second},
		showing: map[string]time.Time{}, shown: map[string]int{}, progress: [2]time.Time{time.Now(), time.Now()}}
	w.every(ctx, 250*time.Millisecond, w.lookAtFaults)
	w.every(ctx, 2*time.Second, w.lookAtBooks)
	w.every(ctx, time.Minute, w.logProgress)
	t.Cleanup(w.stop)
	return w
}

func (w *watch) every(ctx context.Context, d time.Duration, look func()) {
	w.done.Go(func() {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-ctx.Done():
				return
			}
		}
	})
}

func (w *watch) stop() {
	w.cancel()
	w.done.Wait()
}

// lookAtFaults notes each fault that begins or ends, beside its cause.
func (w *watch) lookAtFaults() {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+w.site.listen+"/readyz",
		nil)
	if err != nil {
		return
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return // it is being restarted
	}
	defer func() { _ = answer.Body.Close() }()
	var state struct {
		Faults []struct{ Code, Message string }
	}
	if json.NewDecoder(answer.Body).Decode(&state) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := map[string]bool{}
	for _, f := range state.Faults {
		now[f.Code] = true
		if _, known := w.showing[f.Code]; known {
			continue
		}
		w.showing[f.Code] = time.Now()
		w.shown[f.Code]++
		why := w.log.explain(f.Code)
		if why == "" {
			why = "NOTHING THAT WAS DONE"
			w.unasked = append(w.unasked, fmt.Sprintf("%s at %s: %s", f.Code, time.Now().UTC().Format(time.TimeOnly), f.Message))
		}
		w.log.line("fault begins: %s: %s; because of: %s", f.Code, f.Message, why)
	}
	for code, since := range w.showing {
		if !now[code] {
			delete(w.showing, code)
			w.log.line("fault ends: %s after %.1f s", code, time.Since(since).Seconds())
		}
	}
}

// lookAtBooks records work that rests while no fault shows, whatever the cause.
func (w *watch) lookAtBooks() {
	s, ok := w.site.sample()
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if s.Recorded > w.last.Recorded || s.Recorded >= s.Accepted {
		w.progress[0] = now
	}
	if s.Untried == 0 || s.Recorded-s.Untried > w.last.Recorded-w.last.Untried {
		w.progress[1] = now
	}
	w.last = s
	for i, stage := range []string{"recording", "sending to healthy receivers"} {
		if len(w.showing) > 0 {
			w.progress[i] = now // it is not silent
		}
		if now.Sub(w.progress[i]) < silent {
			continue
		}
		w.progress[i] = now
		text := fmt.Sprintf("%s rested for %v without a fault: %+v", stage, silent, s)
		w.stopped = append(w.stopped, text)
		w.log.line("SILENT STOP: %s", text)
	}
}

// sample reads the books. Untried are messages to healthy receivers without an attempt.
func (s *site) sample() (found sample, ok bool) {
	text, ok := value[string](s, `select json_build_object('Accepted', (select count(*) from soak.accepted),
		'Recorded', (select count(*) from attendee_relay.outbox) + (select count(*) from attendee_relay.acceptance),
		'Untried', (select count(*) from attendee_relay.outbox where state = 'pending' and attempts = 0
			and webhook_url like '%/well/%'))::text`)
	return found, ok && json.NewDecoder(strings.NewReader(text)).Decode(&found) == nil
}

func (w *watch) logProgress() {
	text, ok := value[string](w.site, `select format('%s accepted; %s', (select count(*) from soak.accepted),
		(select string_agg(format('%s %s', n, state), ', ') from
			(select state, count(*) as n from attendee_relay.outbox group by 1 order by 1) s))`)
	if ok {
		w.log.line("progress: %s", text)
	}
}
