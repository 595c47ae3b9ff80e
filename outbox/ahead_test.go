package outbox

import (
	"context"
	"testing"
	"testing/synctest"
)

// What has to be known of what is being stored is waited for, and nothing else.
func TestWhatIsPreparedAhead(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		batch *batch
		waits bool
	}{
		"other rows":             {&batch{identities: []string{"3", "4"}}, false},
		"a row of it":            {&batch{identities: []string{"3", "2"}}, true},
		"an acceptance waits":    {&batch{identities: []string{"3"}, waiting: make([]acceptance, 1)}, true},
		"a waiting row is moved": {&batch{identities: []string{"3"}, touched: make([]*stored, 1)}, true},
		"a large transaction":    {nil, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &Recorder{}
				ahead := r.setAhead(c.batch)
				read := make(chan error, 1)
				go func() { read <- r.ahead.await(t.Context(), []string{"1", "2"}) }()
				synctest.Wait()
				if waits := len(read) == 0; waits != c.waits {
					t.Errorf("it waits: %v", waits)
				}
				ahead.end()
				if err := <-read; err != nil {
					t.Error(err)
				}
			})
		})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	r := &Recorder{}
	r.setAhead(nil)
	if err := r.ahead.await(gone, nil); err == nil {
		t.Error("it waits for ever for what is never stored")
	}
}
