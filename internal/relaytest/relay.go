package relaytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
)

// Environ is a relay's environment for a test's database and receivers on this machine; Run adds others to it.
func Environ(db *pgtest.DB) []string {
	return []string{
		"DATABASE_URL=" + db.URL(),
		"DEPLOYMENT=test",
		"REPLICATION_SLOT=" + db.Name(), // slots belong to the whole server
		"DELIVERY_ALLOW_HTTP=true",
		"DELIVERY_ALLOW_NETWORKS=127.0.0.0/8",
		"DELIVERY_TIMEOUT=1s",
		"ADMIN_ADDR=127.0.0.1:0",
		"LOG_LEVEL=debug",
	}
}

// Relay is a process of run.
type Relay struct {
	*Process
	client *http.Client
	admin  string
	// told: it has been ready, or has shown why it is not.
	told bool
}

// Run starts a relay on a test's database, with Environ's settings and these.
func Run(t *testing.T, db *pgtest.DB, settings ...string) *Relay {
	t.Helper()
	return RunWith(t, append(Environ(db), settings...))
}

// RunWith starts a relay with nothing but this environment, in which ADMIN_ADDR ends in :0.
func RunWith(t *testing.T, environ []string) *Relay {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 15 * time.Second}
	return &Relay{Process: Start(t, environ, "run"), client: client}
}

var adminLine = regexp.MustCompile(`serving health and metrics.*?(\d+\.\d+\.\d+\.\d+:\d+)`)

// Get asks the admin server and returns status and body. While the server is not there, the status is 0.
func (r *Relay) Get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	if r.admin == "" {
		found := adminLine.FindStringSubmatch(r.Stderr())
		if found == nil {
			return 0, "it does not say yet where it listens"
		}
		r.admin = found[1]
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

// State is what /readyz says.
type State struct {
	Status int
	Ready  bool
	Role   string
	Faults []struct{ Code, Message, Fix string }
}

// Codes lists the faults.
func (s State) Codes() string {
	var codes []string
	for _, f := range s.Faults {
		codes = append(codes, f.Code)
	}
	return strings.Join(codes, " ")
}

// State asks /readyz and fails the test on a 503 without a reason, except in the first moments of a process.
func (r *Relay) State(t *testing.T) State {
	t.Helper()
	status, body := r.Get(t, "/readyz")
	s := State{}
	if err := json.Unmarshal([]byte(body), &s); err != nil && status != 0 {
		t.Fatalf("/readyz: %q: %v", body, err)
	}
	s.Status = status
	r.told = r.told || status == http.StatusOK || len(s.Faults) > 0
	if r.told && status == http.StatusServiceUnavailable && len(s.Faults) == 0 {
		t.Errorf("/readyz says no and not why: %s", body)
	}
	return s
}

// Await waits until done accepts the answer of /readyz.
func (r *Relay) Await(t *testing.T, within time.Duration, what string, done func(State) bool) State {
	t.Helper()
	var state State
	pgtest.WaitUntil(t, within, "the relay "+what, func() (bool, string) {
		select {
		case <-r.Ended():
			t.Fatalf("the relay ended while waited for that it %s, with %v", what, r.cmd.ProcessState)
		default:
		}
		state = r.State(t)
		return done(state), fmt.Sprintf("%+v", state)
	})
	return state
}

// slotPatience is how long making a slot may take: it waits for every transaction of the tests on the same server.
const slotPatience = 3 * time.Minute

// AwaitRole waits until the relay is ready in a role. The time in which it shows that its slot is pending does not
// count.
func (r *Relay) AwaitRole(t *testing.T, within time.Duration, role string) {
	t.Helper()
	is := func(s State) bool { return s.Status == http.StatusOK && s.Ready && s.Role == role }
	pending := func(s State) bool { return s.Codes() == "slot_pending" }
	state := r.Await(t, within, "is a ready "+role, func(s State) bool { return is(s) || pending(s) })
	if pending(state) {
		r.Await(t, slotPatience, "has its slot", func(s State) bool { return !pending(s) })
		r.Await(t, within, "is a ready "+role, is)
	}
}

// AwaitFault waits until exactly this fault is shown.
func (r *Relay) AwaitFault(t *testing.T, within time.Duration, code string) State {
	t.Helper()
	return r.Await(t, within, "shows "+code, func(s State) bool {
		return s.Status == http.StatusServiceUnavailable && !s.Ready && s.Codes() == code
	})
}
