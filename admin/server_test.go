package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"attendee-relay/admin"
	"attendee-relay/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sinces are the times at which faults began.
var sinces = regexp.MustCompile(`,"since":"20[0-9T:.-]+Z"`)

func TestReadiness(t *testing.T) {
	t.Parallel()
	lost := fault.New(fault.SlotLost, "the slot is gone").WithFix("SELECT 1 WHERE 1 < 2")
	const query = `{"code":"query_failing","message":"no such column"}`
	tests := map[string]struct {
		role   admin.Role
		faults []*fault.Fault
		status int
		body   string
	}{
		"a leader without faults":  {admin.Leader, nil, http.StatusOK, `{"ready":true,"role":"leader","faults":[]}`},
		"a standby without faults": {admin.Standby, nil, http.StatusOK, `{"ready":true,"role":"standby","faults":[]}`},
		"one that led and tries again": {admin.Resuming, nil, http.StatusOK,
			`{"ready":true,"role":"standby","faults":[]}`},
		"one that led and cannot send": {
			admin.Resuming, []*fault.Fault{fault.New(fault.DeliveryFailing, "no right")}, http.StatusServiceUnavailable,
			`{"ready":false,"role":"standby","faults":[{"code":"delivery_failing","message":"no right"}]}`,
		},
		"not started yet": {admin.Starting, nil, http.StatusServiceUnavailable,
			`{"ready":false,"role":"standby","faults":[]}`},
		"a leader with faults": {
			admin.Leader, []*fault.Fault{lost, fault.New(fault.QueryFailing, "no such column")}, http.StatusServiceUnavailable,
			`{"ready":false,"role":"leader","faults":[{"code":"query_failing","message":"no such column"},` +
				`{"code":"slot_lost","message":"the slot is gone","fix":"SELECT 1 WHERE 1 < 2"}]}`,
		},
		"a leader that renders nothing": {
			admin.Leader, []*fault.Fault{fault.New(fault.QueryFailing, "no such column")}, http.StatusServiceUnavailable,
			`{"ready":false,"role":"leader","faults":[` + query + `]}`,
		},
		"a leader with a fault of single keys": {
			admin.Leader, []*fault.Fault{fault.New(fault.QueryFailing, "no such column").Partially()}, http.StatusOK,
			`{"ready":true,"role":"leader","faults":[` + query + `]}`,
		},
		"a leader that does not clean up": {
			admin.Leader, []*fault.Fault{fault.New(fault.RetentionFailing, "no right")}, http.StatusOK,
			`{"ready":true,"role":"leader","faults":[{"code":"retention_failing","message":"no right"}]}`,
		},
		"a standby that cannot render or send, and can lead": {
			admin.Standby, []*fault.Fault{fault.New(fault.QueryFailing, "no such column")}, http.StatusOK,
			`{"ready":true,"role":"standby","faults":[` + query + `]}`,
		},
		"a standby that cannot lead": {
			admin.Standby, []*fault.Fault{fault.New(fault.CaptureFailing, "no right")}, http.StatusServiceUnavailable,
			`{"ready":false,"role":"standby","faults":[{"code":"capture_failing","message":"no right"}]}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			board := fault.NewBoard()
			for _, f := range test.faults {
				board.Raise(f)
			}
			answer := get(t, newServer(t, "", test.role, board), http.MethodGet, "/readyz")
			if answer.Code != test.status || sinces.ReplaceAllString(strings.TrimSpace(answer.Body.String()), "") != test.body {
				t.Errorf("%d %s\nwant %d %s", answer.Code, answer.Body, test.status, test.body)
			}
			if kind := answer.Header().Get("Content-Type"); kind != "application/json" {
				t.Errorf("Content-Type: %s", kind)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	board := fault.NewBoard()
	board.Raise(fault.New(fault.DatabaseUnreachable, "refused"))
	server := newServer(t, "", admin.Leader, board)
	for request, status := range map[string]int{
		"GET /healthz":         http.StatusOK, // alive, whatever is wrong
		"HEAD /readyz":         http.StatusServiceUnavailable,
		"GET /metrics":         http.StatusOK,
		"POST /healthz":        http.StatusMethodNotAllowed,
		"GET /":                http.StatusNotFound,
		"GET /healthz/":        http.StatusNotFound,
		"GET /api/v1/messages": http.StatusNotFound,
		"GET /debug/pprof/":    http.StatusNotFound,
	} {
		method, path, _ := strings.Cut(request, " ")
		if answer := get(t, server, method, path); answer.Code != status {
			t.Errorf("%s is answered %d, want %d", request, answer.Code, status)
		}
	}
}

func TestMetricsFollowRoleAndFaults(t *testing.T) {
	t.Parallel()
	board := fault.NewBoard()
	server := newServer(t, "", admin.Leader, board)

	before := get(t, server, http.MethodGet, "/metrics").Body.String()
	for _, code := range fault.Codes {
		mustHave(t, before, `attendee_relay_faults{code="`+string(code)+`"} 0`)
	}
	mustHave(t, before, "attendee_relay_leader 1")

	board.Raise(fault.New(fault.SlotLost, "gone"))
	board.Raise(fault.New("a_later_code", "new"))
	during := get(t, server, http.MethodGet, "/metrics").Body.String()
	mustHave(t, during, `attendee_relay_faults{code="slot_lost"} 1`)
	mustHave(t, during, `attendee_relay_faults{code="a_later_code"} 1`)

	board.Clear(fault.SlotLost)
	after := get(t, server, http.MethodGet, "/metrics").Body.String()
	mustHave(t, after, `attendee_relay_faults{code="slot_lost"} 0`)
}

func TestRunServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	server := newServer(t, "127.0.0.1:0", admin.Leader, fault.NewBoard())
	addr, err := server.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()

	client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr.String()+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || !json.Valid(body) || answer.StatusCode != http.StatusOK {
		t.Errorf("%d %s, %v", answer.StatusCode, body, err)
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestRunWithoutAnAddressOnlyWaits(t *testing.T) {
	t.Parallel()
	server := newServer(t, "", admin.Leader, fault.NewBoard())
	if addr, err := server.Listen(t.Context()); addr != nil || err != nil {
		t.Errorf("Listen = %v, %v", addr, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := server.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestListenNamesTheVariable(t *testing.T) {
	t.Parallel()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	server := newServer(t, taken.Listener.Addr().String(), admin.Leader, fault.NewBoard())
	if err := server.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "ADMIN_ADDR") {
		t.Errorf("Run on a taken address = %v", err)
	}
}

func newServer(t *testing.T, addr string, role admin.Role, board *fault.Board) *admin.Server {
	t.Helper()
	log := zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
	return admin.New(admin.Config{Addr: addr}, func() admin.Role { return role }, board, prometheus.NewRegistry(), log)
}

func get(t *testing.T, server *admin.Server, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	server.Handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return recorder
}

func mustHave(t *testing.T, text, line string) {
	t.Helper()
	if !strings.Contains("\n"+text, "\n"+line+"\n") {
		t.Errorf("the metrics lack %q", line)
	}
}
