package admin

import (
	"encoding/json"
	"net/http"
	"slices"

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
		ErrorLog: zap.NewStdLog(s.log),
		Registry: s.registry,
	}))
	return mux
}

// alive says that the process runs and answers, and nothing more: restarting it mends no fault.
func (s *Server) alive(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, struct {
		Alive bool `json:"alive"`
	}{true})
}

// readiness is the body of /readyz; its names are fixed by the public contract, section 7.
type readiness struct {
	Ready  bool          `json:"ready"`
	Role   Role          `json:"role"`
	Faults []fault.Fault `json:"faults"`
}

// ready says whether the process does its work. A standby is ready: waiting is its work. One that has not found its role
// yet is not, although nothing is wrong with it.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	role, faults := s.role(), s.faults.List()
	state := readiness{Ready: role != Starting && !slices.ContainsFunc(faults, stops), Role: role, Faults: faults}
	if role == Starting {
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

// stops reports whether a fault stops a stage, and not only single keys or endpoints.
func stops(f fault.Fault) bool { return !f.Partial }

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
