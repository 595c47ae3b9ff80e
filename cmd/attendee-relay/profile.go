//go:build profile

package main

import (
	"net/http"
	_ "net/http/pprof" //nolint:gosec // only in a binary built to be profiled
	"time"
)

// A binary built with the tag profile serves profiles of time and memory, on this machine only. The bench builds such a
// binary; the released one has none of it.
func init() {
	server := &http.Server{Addr: "127.0.0.1:6363", ReadHeaderTimeout: time.Minute}
	go func() { _ = server.ListenAndServe() }()
}
