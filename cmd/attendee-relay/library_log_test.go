package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/relaytest"
	"attendee-relay/internal/tcptest"
)

func TestALibrarysLineIsOneStructuredLine(t *testing.T) {
	t.Parallel()
	for printed, want := range map[string]string{
		"http: TLS handshake error from 192.0.2.1:5000: EOF\n": "http: TLS handshake " +
			"error from 192.0.2.1:5000: EOF",
		"Unsolicited response received on idle HTTP channel starting with \"hunter2\"; err=<nil>\n": "Unsolicited " +
			"response received on idle HTTP channel",
		"panic\nwith a stack\x1b\n":           "panic\nwith a stack\x1b",
		"\xff":                                "",
		strings.Repeat("x", 2*maxLibraryLine): strings.Repeat("x", maxLibraryLine),
	} {
		var out strings.Builder
		to, err := newLogger("info", "json", &out)
		if err != nil {
			t.Fatal(err)
		}
		log.New(libraryLog{to}, "", 0).Print(printed)
		_ = to.Sync() // lines are written by a goroutine of their own
		var entry struct{ Level, Text string }
		if err := json.Unmarshal([]byte(out.String()), &entry); err != nil || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%q is not one JSON line: %v", out.String(), err)
		}
		if entry.Level != "warn" || entry.Text != want {
			t.Errorf("%q: %+v", printed, entry)
		}
	}
}

// A receiver that goes on talking after its answer makes net/http print to the standard logger what it said.
func TestLinesOfNetHTTPAreLoggedWithoutTheReceiversBytes(t *testing.T) {
	t.Parallel()
	address := tcptest.Serve(t, func(conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		_, _ = io.WriteString(conn, "hunter2 nobody asked for this")
		_, _ = io.Copy(io.Discard, conn)
	})
	db := pgtest.New(t)
	relay := relaytest.Run(t, db)
	relay.AwaitRole(t, ready, "leader")
	const line = "Unsolicited response received on idle HTTP channel"
	// The network decides whether the two writes arrive together; net/http sees an idle connection only if they do not.
	event := relaytest.AddEvent(t, db, "http://"+address+"/")
	var accepted int64
	pgtest.WaitUntil(t, time.Minute, "net/http prints its line", func() (bool, string) {
		accepted++
		relaytest.Accept(t, db, event, 1)
		awaitState(t, db, "delivered", accepted)
		return strings.Contains(relay.Stderr(), line), relay.Stderr()
	})
	for text := range strings.Lines(relay.Stderr()) {
		if !json.Valid([]byte(text)) || strings.Contains(text, "hunter2") {
			t.Errorf("in the log: %s", text)
		}
	}
}
