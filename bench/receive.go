package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// newReceiveCommand is the receiver's process. It prints where it listens: for webhooks, and for the bench.
func newReceiveCommand() *cobra.Command {
	return &cobra.Command{Use: "receive", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			webhooks, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			control, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			r := &receipts{first: map[string]time.Time{}}
			go serve(webhooks, http.HandlerFunc(r.receive))
			at := addresses{"http://" + webhooks.Addr().String(), "http://" + control.Addr().String()}
			if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
				return err
			}
			go serve(control, http.HandlerFunc(r.report))
			<-cmd.Context().Done()
			return nil
		}}
}

// addresses are where a receiver listens.
type addresses struct{ Webhooks, Control string }

func serve(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	_ = server.Serve(l) // until the process ends
}

// receipts are the webhooks received since the last reset.
type receipts struct {
	mu       sync.Mutex
	first    map[string]time.Time
	requests int
}

// receive notes a webhook and answers after the delay that its path begins with, as in /20ms/17.
func (r *receipts) receive(w http.ResponseWriter, request *http.Request) {
	at := time.Now()
	_, _ = io.Copy(io.Discard, request.Body)
	id := request.Header.Get("webhook-id")
	r.mu.Lock()
	r.requests++
	if _, again := r.first[id]; !again {
		r.first[id] = at
	}
	r.mu.Unlock()
	delay, _, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	if d, err := time.ParseDuration(delay); err == nil && d > 0 {
		time.Sleep(d)
	}
	w.WriteHeader(http.StatusNoContent)
}

// counts say how many webhooks came, and how many requests.
type counts struct{ Webhooks, Requests int }

// report tells the bench: GET /counts, GET /times (by message id, when it came first), DELETE to begin anew.
func (r *receipts) report(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case request.Method == http.MethodDelete:
		r.first, r.requests = map[string]time.Time{}, 0
	case request.URL.Path == "/times":
		_ = json.NewEncoder(w).Encode(r.first)
	default:
		_ = json.NewEncoder(w).Encode(counts{len(r.first), r.requests})
	}
}
