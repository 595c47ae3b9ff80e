package lab

import (
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"attendee-relay/internal/relaytest"
)

// manner is how an endpoint treats one half of its requests while it is out of order.
type manner string

const (
	well    manner = ""
	failing manner = "500"
	slow    manner = "slow"
	cutting manner = "reset"
	limited manner = "429"
)

var manners = []manner{failing, slow, cutting, limited}

// request is one that was read to its end.
type request struct {
	id       string
	endpoint int
	from     *connection
	body     uint64
	at       time.Time
	answered time.Time
	// ok: it was answered with a 2xx, within time as far as the receiver can know.
	ok bool
}

// receiver is the organisers' side: it verifies and notes every request.
type receiver struct {
	url  string
	lab  *laboratory
	hash maphash.Seed

	mu       sync.Mutex
	manners  [endpoints]manner
	requests []request
	wrong    []string // what no request may be
}

// relay is the number of the sender, or everybody.
func (r *request) relay() int { return r.from.relay() }

type connectionKey struct{}

func newReceiver(t *testing.T, l *laboratory) *receiver {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(relaytest.Secret)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{lab: l, hash: maphash.MakeSeed()}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.receive(verifier, w, request)
	}))
	asked := make(chan *connection, 1000)
	server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, newConnection(conn, asked))
	}
	server.Start()
	done := make(chan struct{})
	go func() {
		l.attribute(asked)
		close(done)
	}()
	t.Cleanup(func() {
		server.Close()
		close(asked)
		<-done
	})
	r.url = server.URL
	return r
}

// digest stands for a body: an hour's bodies would fill the memory.
func (r *receiver) digest(body string) uint64 { return maphash.String(r.hash, body) }

// hook is the URL of an endpoint.
func (r *receiver) hook(endpoint int) string { return fmt.Sprintf("%s/hook/%d", r.url, endpoint) }

func (r *receiver) receive(verifier *standardwebhooks.Webhook, w http.ResponseWriter, asked *http.Request) {
	got := request{id: asked.Header.Get(standardwebhooks.HeaderWebhookID), at: time.Now()}
	got.from, _ = asked.Context().Value(connectionKey{}).(*connection)
	body, err := io.ReadAll(asked.Body)
	if err != nil {
		return // the sender died in the middle of it
	}
	got.body = r.digest(string(body))
	problem := ""
	if _, err := fmt.Sscanf(asked.URL.Path, "/hook/%d", &got.endpoint); err != nil || got.endpoint >= endpoints {
		problem, got.endpoint = "it went to "+asked.URL.Path, 0
	}
	if err := verifier.Verify(body, asked.Header); err != nil {
		problem = err.Error()
	}
	how := r.mannerOf(got.endpoint)
	if how == slow {
		time.Sleep(timeout * 3 / 2)
	}
	got.ok = how == well
	got.answered = time.Now()
	r.note(got, problem)
	answer(w, how)
}

// mannerOf draws how a request is treated: an endpoint out of order still answers half of them.
func (r *receiver) mannerOf(endpoint int) manner {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rand.IntN(2) == 0 {
		return well
	}
	return r.manners[endpoint]
}

func answer(w http.ResponseWriter, how manner) {
	switch how {
	case slow: // not a 2xx: a relay that slept meanwhile may still read it
		w.WriteHeader(http.StatusGatewayTimeout)
	case failing:
		w.WriteHeader(http.StatusInternalServerError)
	case limited:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case cutting:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = conn.Close()
		}
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (r *receiver) note(got request, problem string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	got.id = strings.Clone(got.id)
	r.requests = append(r.requests, got)
	if problem != "" {
		r.wrong = append(r.wrong, fmt.Sprintf("%s at %s: %s", got.id, r.lab.journal.at(got.at), problem))
	}
}

func (r *receiver) behave(endpoint int, how manner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manners[endpoint] = how
}

// all returns the requests in the order of their answers.
func (r *receiver) all() (requests []request, wrong []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests, r.wrong
}
