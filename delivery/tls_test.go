package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"attendee-relay/internal/tcptest"
)

// trusting returns a Sender that trusts server's certificate.
func trusting(t testing.TB, server *httptest.Server, change ...func(*Config)) *Sender {
	t.Helper()
	s := newTestSender(t, change...)
	s.connector.tls.RootCAs = x509.NewCertPool()
	s.connector.tls.RootCAs.AddCert(server.Certificate())
	return s
}

func TestHTTP2IsSpokenWhereOffered(t *testing.T) {
	t.Parallel()
	for name, offered := range map[string]bool{"HTTP/2.0": true, "HTTP/1.1": false} {
		protocols := make(chan string, 1)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			protocols <- r.Proto
		}))
		server.EnableHTTP2 = offered
		server.StartTLS()
		t.Cleanup(server.Close)
		x := trusting(t, server, func(c *Config) { c.AllowHTTP = false }).Send(t.Context(), newMessage(server.URL))
		if x.Reason != reasonDelivered {
			t.Fatalf("%s: %+v", name, x)
		}
		if got := receive(t, protocols, "the request"); got != name {
			t.Errorf("%s, want %s", got, name)
		}
	}
}

func TestTLSFailuresAreNamed(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(status(200))
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	old := httptest.NewUnstartedServer(status(200))
	old.Config.ErrorLog = quiet()
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	plain := httptest.NewServer(status(200))
	t.Cleanup(plain.Close)

	for name, c := range map[string]struct {
		sender    *Sender
		url, want string
	}{
		"an unknown authority": {newTestSender(t), server.URL,
			"tls: the certificate is self-signed; DELIVERY_CA_FILE can make the relay trust it"},
		"another host's": {trusting(t, server), "https://127.0.0.2", "tls: the certificate is for another host name"},
		"no TLS": {newTestSender(t), "https" + strings.TrimPrefix(plain.URL, "http"),
			"tls: the server does not speak TLS"},
		"TLS 1.1": {trusting(t, old), old.URL, "tls: the server offers no TLS 1.2 or newer"},
	} {
		if strings.Contains(c.url, "127.0.0.2") {
			// The same certificate at an address that it does not name.
			other, err := net.Listen("tcp4", "127.0.0.2:0")
			if err != nil {
				continue // only Linux has the whole of 127/8
			}
			elsewhere := &http.Server{Handler: status(200), TLSConfig: &tls.Config{Certificates: server.TLS.Certificates},
				ErrorLog: quiet()}
			go func() { _ = elsewhere.ServeTLS(other, "", "") }()
			t.Cleanup(func() { _ = elsewhere.Close() })
			c.url = "https://" + other.Addr().String()
		}
		if x := c.sender.Send(t.Context(), newMessage(c.url)); x.Attempt.Error != c.want {
			t.Errorf("%s: %q, want %q", name, x.Attempt.Error, c.want)
		}
	}
}

func TestHTTP2AnswersAreReadNoFurtherThanTheBound(t *testing.T) {
	t.Parallel()
	ended := make(chan int64, 1)
	chunk := make([]byte, 16<<10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/header" {
			for i := range 100 {
				w.Header().Set("X-"+strconv.Itoa(i), strings.Repeat("x", 2*maxHeader/100))
			}
			return
		}
		var sent int64
		for {
			n, err := w.Write(chunk)
			sent += int64(n)
			if err != nil {
				ended <- sent
				return
			}
		}
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	s := trusting(t, server)
	if x := s.Send(t.Context(), newMessage(server.URL)); x.Reason != reasonDelivered {
		t.Errorf("%+v", x)
	}
	// Read, plus a window that was open when the stream was closed, plus what the server keeps in its own buffer.
	if sent := receive(t, ended, "the receiver to be cut off"); sent > maxBody+2*streamWindow+1<<16 {
		t.Errorf("the receiver could send %d bytes", sent)
	}
	// The transport ends the stream or the whole connection, by how far the header is over the bound.
	if x := s.Send(t.Context(), newMessage(server.URL+"/header")); x.Reason != "protocol" || x.Attempt.Status != 0 {
		t.Errorf("%+v", x)
	}
}

// TestOneAttemptIsOneHTTP2Request refuses requests in the ways after which the transport may send them again by itself.
func TestOneAttemptIsOneHTTP2Request(t *testing.T) {
	t.Parallel()
	const headers, rstStream, goAway, refusedStream = 0x1, 0x3, 0x7, 0x7
	frame := func(kind byte, stream uint32, payload ...byte) []byte {
		head := []byte{0, 0, byte(len(payload)), kind, 0}
		return append(binary.BigEndian.AppendUint32(head, stream), payload...)
	}
	for name, refuse := range map[string]func(stream uint32) []byte{
		"REFUSED_STREAM": func(stream uint32) []byte { return frame(rstStream, stream, 0, 0, 0, refusedStream) },
		"GOAWAY":         func(uint32) []byte { return frame(goAway, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certificates := httptest.NewUnstartedServer(nil)
			certificates.StartTLS()
			t.Cleanup(certificates.Close)
			config := &tls.Config{Certificates: certificates.TLS.Certificates, NextProtos: []string{"h2"}}
			var requests atomic.Int64
			address := tcptest.Serve(t, func(plain net.Conn) {
				conn := tls.Server(plain, config)
				defer conn.Close()
				preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
				if _, err := io.ReadFull(conn, preface); err != nil {
					return
				}
				_, _ = conn.Write(frame(0x4, 0)) // SETTINGS
				head := make([]byte, 9)
				for {
					if _, err := io.ReadFull(conn, head); err != nil {
						return
					}
					size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
					if _, err := io.CopyN(io.Discard, conn, size); err != nil {
						return
					}
					stream := binary.BigEndian.Uint32(head[5:])
					if head[3] == headers {
						requests.Add(1)
					}
					if ended := head[4]&0x1 != 0; ended && head[3] == 0 { // the end of DATA
						_, _ = conn.Write(refuse(stream))
					}
				}
			})
			x := trusting(t, certificates).Send(t.Context(), newMessage("https://"+address))
			if x.Attempt.Error != "reset: the connection was closed before an answer came" {
				t.Errorf("%+v", x)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("1 attempt made %d requests", n)
			}
		})
	}
}
