package admin

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
)

// Handler returns the routes. Everything but these three is 404.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.alive)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		ErrorLog:            zap.NewStdLog(s.log),
		Registry:            s.registry,
		CoalesceGather:      true,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	}))
	return mux
}

// alive answers that the process runs, and nothing more: a restart fixes no fault.
func (s *Server) alive(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, struct {
		Alive bool `json:"alive"`
	}{true})
}

const (
	// maxScrapes bounds the scrapes that wait; one is made at a time, and they share it. More are answered 503.
	maxScrapes = 16
	// scrapeTimeout bounds one scrape; Prometheus gives up after 10 s.
	scrapeTimeout = 8 * time.Second
)

// readiness is the body of /readyz; its names are fixed by the public contract, section 7.
type readiness struct {
	Ready  bool          `json:"ready"`
	Role   Role          `json:"role"`
	Faults []fault.Fault `json:"faults"`
}

// stops reports whether a fault keeps a process in this role from its work as a whole. Faults of single keys or
// endpoints do not, and a fault of rendering or delivery does not keep a standby from leading.
func stops(role Role, f *fault.Fault) bool {
	switch stage := f.Code.Stage(); {
	case f.Partial || stage == fault.Upkeep:
		return false
	case role == Standby:
		return stage == fault.Capture
	default:
		return true
	}
}

// ready answers whether the process does its work. A standby is ready: waiting is its work. A process that has not
// found its role yet is not ready, even without a fault; once it has, only a fault makes it unready. The faults are
// read before the role: a process finds its role first and loses its faults then.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	faults := s.faults.List()
	role := s.role()
	state := readiness{Ready: role != Starting, Role: role, Faults: faults}
	for i := range faults {
		state.Ready = state.Ready && !stops(role, &faults[i])
	}
	if role == Starting || role == Resuming {
		state.Role = Standby
	}
	if faults == nil {
		state.Faults = []fault.Fault{}
	}
	status := http.StatusOK
	if !state.Ready {
		status = http.StatusServiceUnavailable
	}
	s.answer(w, status, state)
}

func (s *Server) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		s.log.Debug("an answer was cut off", zap.Error(err))
	}
}
