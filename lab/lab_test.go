package lab

import (
	_ "embed"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
)

var (
	runFor   = flag.Duration("for", 15*time.Second, "how long the faults go on")
	seedFlag = flag.Uint64("seed", rand.Uint64(), "what the random choices follow from")
	relays   = flag.Int("relays", 3, "how many relays share the database")
	slotLoss = flag.Bool("slot-loss", true, "drop the replication slot now and then, too")
	logsIn   = flag.String("logs", "", "a directory to keep the logs of relays and Postgres in")
)

//go:embed schema.sql
var schema string

// patience is how long the relays may take to deliver everything once all is well again: two leases of dead workers, a
// resync and a backlog fit into it on a busy machine.
const patience = 2 * time.Minute

// laboratory is one run. Only the test's goroutine strikes and heals.
type laboratory struct {
	t        *testing.T
	random   *rand.Rand
	server   *pgserver.Server
	db       *pgtest.DB
	relays   []*relay
	receiver *receiver
	load     *load
	journal  *journal
	watch    *watch
	pool     *pgxpool.Pool // not through a proxy
	tables   []string      // the relay's own
	healing  []*fault
	down     bool // Postgres is

	slowestRestart time.Duration
}

func TestMain(m *testing.M) { relaytest.Main(m) }

func TestLaboratory(t *testing.T) {
	seed := *seedFlag
	t.Logf("seed %d, faults for %v; again: go test ./lab -run TestLaboratory -v -timeout 0 -args -for %v -seed %d",
		seed, *runFor, *runFor, seed)
	l := newLaboratory(t, seed)
	l.awaitLeader(time.Minute)
	l.armTables()
	l.watch.start(t)
	l.load.start(t)

	l.torment(*runFor)
	l.load.end(t)
	healed := time.Now()
	l.awaitDelivered(patience)
	settled := time.Since(healed)
	l.watch.end()

	f := l.verdict()
	f.Seed, f.Seconds, f.Relays, f.SettledSeconds = seed, runFor.Seconds(), len(l.relays), settled.Seconds()
	f.print(t)
	if t.Failed() {
		t.Logf("seed %d; the faults:\n%s", seed, l.journal)
	}
}

func newLaboratory(t *testing.T, seed uint64) *laboratory {
	t.Helper()
	l := &laboratory{t: t, random: rand.New(rand.NewPCG(seed, 0)), journal: newJournal()}
	// With commit times the truth is exact: each acceptance is known by its moment, not only by number.
	l.server = pgtest.Start(t, map[string]string{"track_commit_timestamp": "on", "max_wal_size": "256MB"})
	t.Cleanup(l.keepLogs)
	l.db = pgtest.On(t, l.server)
	l.db.Exec(t, schema)
	l.connect()
	for number := range *relays {
		l.relays = append(l.relays, l.newRelay(number))
	}
	l.receiver = newReceiver(t, l)
	l.load = newLoad(l, seed)
	l.watch = newWatch(l)
	for _, r := range l.relays {
		r.start(t)
	}
	return l
}

// keepLogs keeps what the processes still running and Postgres have said.
func (l *laboratory) keepLogs() {
	for _, r := range l.relays {
		if r.pid.Load() != 0 {
			r.retire(l.t)
		}
	}
	log, err := os.ReadFile(filepath.Join(filepath.Dir(l.server.DataDir()), "log"))
	if err != nil {
		l.t.Logf("the log of Postgres is not kept: %v", err)
	}
	keep(l.t, "postgres", string(log))
}
