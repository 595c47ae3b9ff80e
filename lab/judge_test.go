package lab

import (
	"testing"
	"time"
)

func TestAcceptancesFoundByComparisonAreNotLost(t *testing.T) {
	t.Parallel()
	at := time.Now()
	lost, found := difference{"lost", "7", "/one", &at}, difference{"repeated", "7", "/one", nil}
	other := difference{"lost", "7", "/two", &at}
	twice := difference{"repeated", "7", "/one", &at}
	tests := map[string]struct{ all, want []difference }{
		"found once":                 {[]difference{lost, found}, nil},
		"at another endpoint":        {[]difference{other, found}, []difference{other, found}},
		"found twice, accepted once": {[]difference{lost, found, found}, []difference{found}},
		"found once, accepted twice": {[]difference{lost, lost, found}, []difference{lost}},
		"streamed and found":         {[]difference{found}, []difference{found}},
		"streamed twice":             {[]difference{twice}, []difference{twice}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			left := withoutResync(test.all)
			if len(left) != len(test.want) {
				t.Fatalf("%+v is left, not %+v", left, test.want)
			}
			for i := range left {
				if left[i] != test.want[i] {
					t.Errorf("%+v is left, not %+v", left[i], test.want[i])
				}
			}
		})
	}
}

func TestDuplicatesAreExplainedByWhatConcernedTheirSender(t *testing.T) {
	t.Parallel()
	start := time.Now()
	after := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	one, two := &connection{}, &connection{}
	one.number.Store(1)
	two.number.Store(2)
	first := &request{from: one, at: after(100), answered: after(100), ok: true}
	tests := map[string]struct {
		kind      string
		relay     int
		from      float64 // when the fault began; it lasts a second
		second    float64 // when the second request came, from relay 2
		recorded  float64
		late      bool
		explained string
	}{
		"nothing happened":                   {"kill", 1, 50, 117, 117, false, ""},
		"the sender was killed":              {"kill", 1, 100.5, 117, 117, false, "sender died or slept"},
		"another relay was killed":           {"kill", 0, 100.5, 117, 117, false, ""},
		"the sender was killed much later":   {"kill", 1, 110, 117, 117, false, ""},
		"the sender was asked to end":        {"term", 1, 100.5, 117, 117, false, ""},
		"Postgres was away":                  {"crash", everybody, 99.5, 117, 117, false, "lease ended"},
		"a table of the record was full":     {"full settled", everybody, 99.5, 117, 117, false, "lease ended"},
		"a table of the capture was full":    {"full ledger", everybody, 99.5, 117, 117, false, ""},
		"the receiver was out of order":      {"receiver 1 500", everybody, 99.5, 117, 117, false, ""},
		"the relay gave up on the answer":    {"receiver 1 slow", everybody, 99.5, 102, 102, true, "answer came late"},
		"it stood as delivered":              {"crash", everybody, 99.5, 117, 100.1, false, ""},
		"the second sender slept meanwhile":  {"freeze", 2, 115.5, 117, 100.1, false, "sender woke up"},
		"the second sender slept long since": {"freeze", 2, 105, 117, 100.1, false, ""},
		"the second sender heard late":       {"stall down", 2, 115.5, 117, 100.1, false, "sender woke up"},
		"another sender heard late":          {"stall down", 1, 115.5, 117, 100.1, false, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &laboratory{journal: newJournal()}
			l.journal.begin(test.kind, test.relay, after(test.from)).ended = after(test.from + 1)
			d := &duplicates{lab: l, late: map[string][]attempt{}}
			if test.late {
				d.late["msg"] = []attempt{{after(99.9), after(101)}}
			}
			second := &request{from: two, at: after(test.second)}
			if got := d.explain(&message{id: "msg", delivered: after(test.recorded)}, first, second); got != test.explained {
				t.Errorf("%q, not %q", got, test.explained)
			}
		})
	}
}
