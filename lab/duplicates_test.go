package lab

import "time"

// grace is how long the record of an answer may take on a busy machine when nothing is wrong.
const grace = 3 * time.Second

// duplicates explains each request that came although an earlier one of its message had been answered with a 2xx. If no
// process died or slept, no answer came late, and no database was away when the answer was to be recorded, a repeated
// request is a violation.
type duplicates struct {
	lab         *laboratory
	late        map[string][]attempt
	figures     *figures
	unexplained violations
}

// judge explains second, the request after first.
func (d *duplicates) judge(m *message, first, second *request) {
	d.lab.t.Helper()
	d.figures.Duplicates++
	if why := d.explain(m, first, second); why != "" {
		if d.figures.Explained[why]++; d.figures.Explained[why] <= shown {
			d.lab.t.Logf("%v came again: %s; answered at %s to relay %d, again at %s from relay %d, recorded at %s", m, why,
				d.lab.journal.at(first.answered), first.relay(), d.lab.journal.at(second.at), second.relay(),
				d.lab.journal.at(m.delivered))
		}
		return
	}
	d.figures.Unexplained++
	d.unexplained.add("%v: answered at %s to relay %d, again at %s from relay %d, recorded at %s%s%s", m,
		d.lab.journal.at(first.answered), first.relay(), d.lab.journal.at(second.at), second.relay(),
		d.lab.journal.at(m.delivered), d.lab.around(first.answered), d.lab.around(second.at))
}

func (d *duplicates) explain(m *message, first, second *request) string {
	touching := d.lab.journal.touching
	// A sender that slept between its claim and its request, or learned of its claim late, does not know what happened
	// meanwhile.
	woken := touching(second.relay(), second.at.Add(-grace), second.at, "freeze", "stall") != nil
	recorded := first.answered.Add(grace)
	switch {
	case second.at.After(m.delivered.Add(grace)) && !woken:
		return "" // it stood as delivered
	// SIGTERM is no excuse: what is in flight is recorded first.
	case touching(first.relay(), first.at, recorded, "kill", "freeze") != nil:
		return "sender died or slept"
	case d.cameLate(m, first, first.answered), d.cameLate(m, second, first.answered):
		return "answer came late"
	case woken:
		return "sender woke up"
	// What may hinder the record for as long as the lease lasts.
	case touching(first.relay(), first.at, recorded, "crash", "restart", "terminate", "cut", "stall", "full pending",
		"full settled", "full exchange", "full endpoint", "lock pending", "lock settled", "lock exchange",
		"lock endpoint") != nil:
		return "lease ended"
	}
	return ""
}

// cameLate reports whether the relay has recorded a request as one that it gave up on. The receiver may read it only
// then, so the request may even arrive after the next one: it was sent before the time that is given.
func (d *duplicates) cameLate(m *message, r *request, sent time.Time) bool {
	for _, a := range d.late[m.id] {
		if !a.began.After(r.at) && a.began.Before(sent) && !a.ended.Add(grace).Before(r.at) {
			return true
		}
	}
	return false
}
