package outbox

import (
	"slices"
	"testing"

	"github.com/jackc/pglogrepl"

	"attendee-relay/replication"
)

// Of two acceptances of one key the later one queues behind the earlier one, however their rows moved within the batch.
func TestAcceptancesQueueBehindThoseOfTheirKey(t *testing.T) {
	t.Parallel()
	becomes := func(was, is string, status replication.Status) replication.Change {
		return replication.Change{Op: replication.Update, Previous: was, Identity: is, Key: replication.TextValue(is),
			Status: status}
	}
	comes := func(id string) replication.Change {
		return replication.Change{Op: replication.Insert, Identity: id, Key: replication.TextValue(id),
			Status: replication.Accepted}
	}
	commits := func(changes ...replication.Change) (list []replication.Commit) {
		for i, c := range changes {
			list = append(list, replication.Commit{CommitLSN: pglogrepl.LSN(i + 1), Changes: []replication.Change{c}})
		}
		return list
	}
	tests := map[string]struct {
		commits       []replication.Commit
		queued, found []pglogrepl.LSN
	}{
		"of another key": {commits(comes("2")), nil, []pglogrepl.LSN{1}},
		"of its key":     {commits(comes("1")), []pglogrepl.LSN{1}, nil},
		"of the key that the waiting row has got": {
			commits(becomes("1", "2", replication.NotAccepted), becomes("2", "2", replication.Accepted)), []pglogrepl.LSN{2},
			nil},
		"of the key that the waiting row has left": {
			commits(becomes("1", "2", replication.NotAccepted), comes("1")), nil, []pglogrepl.LSN{2}},
		// Row 1 leaves, a second row takes its key over and is accepted, leaves it as well, and is accepted again.
		"of a key that both have got after the waiting row's": {
			commits(becomes("1", "2", replication.NotAccepted), comes("1"), becomes("1", "3", replication.NotAccepted),
				becomes("3", "3", replication.Accepted)), nil, []pglogrepl.LSN{2, 4}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := "1"
			waiting := []*stored{{id: 1, place: &place{row: key, key: &key}}}
			l := &ledger{loaded: map[string]entry{}, current: map[string]entry{}}
			found, queued := queueBehind(waiting, decideAll(test.commits, l, waiting))
			for what, list := range map[string][2][]pglogrepl.LSN{"found": {lsns(found), test.found},
				"queued": {lsns(queued), test.queued}} {
				if !slices.Equal(list[0], list[1]) {
					t.Errorf("%s are those of the commits %v, not %v", what, list[0], list[1])
				}
			}
		})
	}
}

func lsns(list []acceptance) (lsns []pglogrepl.LSN) {
	for _, a := range list {
		lsns = append(lsns, a.lsn)
	}
	return lsns
}
