// Package admin turns the process's state into what operators and their tools read over HTTP.
//
// It serves health, readiness and metrics on ADMIN_ADDR. Its promise: it only reads (the role, the faults that hold
// now, the metrics registry), keeps no state of its own that could disagree with theirs, and a slow or hostile client
// costs one bounded connection. cmd makes one and runs it beside the stages; only cmd and config import it.
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"attendee-relay/internal/fault"
)

// Answers are small and made from memory, so whoever takes longer than this is not waiting for us. A scrape that lists
// many series has the write timeout.
const (
	readTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second
	idleTimeout  = 30 * time.Second
	headerLimit  = 16 << 10
	// bodyLimit bounds the part of a request's body that is read; none of it is used.
	bodyLimit = 64 << 10
	// stopTimeout is how long answers under way may take after Run was told to stop.
	stopTimeout = 5 * time.Second
)

var errStopTimeout = errors.New("answers under way took too long")

// Faults gives the faults that hold now, in a stable order; a *fault.Board does. It must not block.
type Faults interface {
	List() []fault.Fault
}

// Server is the operator's HTTP server.
type Server struct {
	addr     string
	role     func() Role
	faults   Faults
	registry *prometheus.Registry
	log      *zap.Logger
	listener net.Listener
}

// New makes a server and registers its metrics with registry, which /metrics then shows whole. role must not block.
func New(c Config, role func() Role, faults Faults, registry *prometheus.Registry, log *zap.Logger) *Server {
	s := &Server{addr: c.Addr, role: role, faults: faults, registry: registry, log: log.Named("admin")}
	registry.MustRegister(collector{role: role, faults: faults})
	return s
}

// Listen takes the address, so that one in use is known before anything else starts, and returns it with its port. With
// an empty ADMIN_ADDR there is no server: it returns nil and nil. A caller of Listen calls Run next.
func (s *Server) Listen(ctx context.Context) (net.Addr, error) {
	if s.addr == "" {
		return nil, nil //nolint:nilnil // no server is no error
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("listening on ADMIN_ADDR: %w", err)
	}
	s.listener = limit(listener)
	return listener.Addr(), nil
}

// Run serves until ctx is done, then lets answers under way end. It listens first if Listen was not called. Without an
// ADMIN_ADDR it only waits for ctx.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		if _, err := s.Listen(ctx); err != nil {
			return err
		}
	}
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	server := &http.Server{
		Handler:           http.MaxBytesHandler(s.Handler(), bodyLimit),
		ConnState:         track,
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerLimit,
		ErrorLog:          zap.NewStdLog(s.log),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // also ends the goroutine when Serve fails by itself
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stopped <- stop(ctx, server)
	}()
	s.log.Info("serving health and metrics", zap.Stringer("addr", s.listener.Addr()))
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on ADMIN_ADDR: %w", err)
	}
	return <-stopped
}

// stop ends the server; what does not end in time is cut off.
func stop(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stopTimeout, errStopTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close()
		return fmt.Errorf("stopping the admin server: %w", context.Cause(ctx))
	}
	return nil
}
