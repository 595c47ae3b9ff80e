package soak

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"attendee-relay/internal/relaytest"
)

var (
	runFor   = flag.Duration("for", 10*time.Second, "how long the application registers people")
	seedFlag = flag.Uint64("seed", rand.Uint64(), "what the random choices follow from")
	rate     = flag.Float64("rate", 35, "transactions of the application a second")
	logFile  = flag.String("log", "", "a file for the log; none: the test's own output, when it fails")
	settling = flag.Duration("settle", 5*time.Second, "how long what failed may wait for its retries at the end")
)

func TestMain(m *testing.M) { relaytest.Main(m) }

func TestSoak(t *testing.T) {
	seed := *seedFlag
	log := newJournal(t, openLog(t))
	log.line("start: seed %d, %v, %v transactions a second", seed, *runFor, *rate)
	receivers := newReceivers(t)
	site := install(t, log, receivers)
	relay := site.startRelay(t)
	watch := startWatch(t, site, log)
	relay.awaitReady(t)

	load := startApplication(t, site, receivers, seed)
	causes := &causes{site: site, relay: relay, receivers: receivers, log: log, random: rand.New(rand.NewPCG(seed, 0))}
	causes.strike(t, *runFor)
	load.stop(t)
	receivers.heal()
	log.line("the application has ended")
	site.awaitSettled(t, log, *settling)
	watch.stop()

	verdict := judge(t, site, receivers, log)
	verdict.failed = load.failures()
	verdict.print(t, log, watch, relay)
}

func openLog(t *testing.T) *os.File {
	t.Helper()
	name := *logFile
	if name == "" {
		name = filepath.Join(t.TempDir(), "soak.log")
	}
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = file.Close()
		if text, err := os.ReadFile(name); err == nil && t.Failed() && *logFile == "" {
			t.Logf("the log:\n%s", text)
		}
	})
	return file
}
