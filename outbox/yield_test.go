package outbox

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/secret"
	"attendee-relay/replication"
)

// Between two batches of a backlog capture rests while the application is busy; nothing else waits.
func TestCaptureRestsBesideABusyApplication(t *testing.T) {
	t.Parallel()
	backlog := make([]replication.Commit, manyChanges)
	for i := range backlog {
		backlog[i].Changes = make([]replication.Change, 1)
	}
	at := func(ago time.Duration, commits []replication.Commit) []replication.Commit {
		commits = slices.Clone(commits)
		commits[0].Time = time.Now().Add(-ago)
		return commits
	}
	for name, c := range map[string]struct {
		busy    bool
		commits []replication.Commit
		ago     time.Duration
		took    time.Duration
		want    time.Duration
	}{
		"a backlog":                  {true, backlog, time.Minute, 100 * time.Millisecond, 600 * time.Millisecond},
		"a backlog that takes long":  {true, backlog, time.Minute, time.Hour, time.Second},
		"a backlog that is very old": {true, backlog, time.Hour, 100 * time.Millisecond, 0},
		"a single commit":            {true, backlog[:1], time.Minute, 100 * time.Millisecond, 0},
		"an idle application":        {false, backlog, time.Minute, 100 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				y := yield{busy: c.busy, asked: time.Now()}
				y.writing.Store(int64(100 * time.Millisecond))
				commits := at(c.ago, c.commits)
				y.read(c.took)
				began := time.Now()
				if err := y.wait(t.Context(), commits); err != nil || time.Since(began) != c.want {
					t.Errorf("it waited %v, not %v: %v", time.Since(began), c.want, err)
				}
				y.read(c.took)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				if err := y.wait(ctx, commits); (err != nil) != (c.want > 0) {
					t.Errorf("when it has to stop: %v", err)
				}
				time.Sleep(time.Hour) // the answer holds no longer
				y.read(c.took)
				began = time.Now()
				if err := y.wait(t.Context(), at(c.ago, commits)); err != nil || time.Since(began) != 0 {
					t.Errorf("long after the last answer it waited %v: %v", time.Since(began), err)
				}
			})
		})
	}
}

// An application is busy that writes: what the relay writes itself does not count, nor what was long ago.
func TestABusyApplicationIsSeen(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.Exec(t, "create table attendee_relay.own (id int); create table theirs (id int)")
	commits := []replication.Commit{{Changes: make([]replication.Change, manyChanges), Time: time.Now()}}
	reader := &reader{url: secret.New(db.URL()), name: "attendee-relay/test reader"}
	defer reader.close(context.WithoutCancel(t.Context()))
	written := map[string]int{}
	writes := func(table string) {
		t.Helper()
		written[table] += 5000
		// As the superuser, who may write into both; a session that ends leaves nothing uncounted.
		conn, err := pgx.Connect(t.Context(), db.OwnerURL())
		if err == nil {
			_, err = conn.Exec(t.Context(), "insert into "+table+" select generate_series(1, 5000)")
			err = errors.Join(err, conn.Close(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
		pgtest.WaitUntil(t, 30*time.Second, "Postgres has counted", func() (bool, string) {
			return pgtest.Value[bool](t, db, "select n_tup_ins = $2 from pg_stat_user_tables where relid = $1::text::regclass",
				table, written[table]), ""
		})
	}
	var y yield
	looks := func(ago time.Duration) bool {
		t.Helper()
		y.asked = time.Now().Add(-ago)
		y.ask(t.Context(), commits, reader.applicationWrites)
		return y.busy
	}
	writes("theirs")
	if looks(time.Hour) {
		t.Error("what was long ago counts")
	}
	writes("attendee_relay.own")
	if looks(2 * writesEvery) {
		t.Error("what the relay writes counts")
	}
	writes("theirs")
	if !looks(2 * writesEvery) {
		t.Error("an application that writes is not seen")
	}
	if looks(2 * writesEvery) {
		t.Error("it is busy still, without writing")
	}
	y.ask(t.Context(), commits, func(context.Context) (int64, error) {
		t.Error("it asks again at once")
		return 0, nil
	})
	writes("theirs")
	y.asked = time.Now().Add(-2 * writesEvery)
	if y.ask(t.Context(), commits, func(context.Context) (int64, error) {
		return 1 << 40, errors.New("not now")
	}); y.busy {
		t.Error("without an answer it is busy")
	}
}
