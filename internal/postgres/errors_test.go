package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

func TestConnectErrorsNameNoParameter(t *testing.T) {
	t.Parallel()
	words := []string{"hunter2", "theuser", "thedatabase", "127.0.0.1", "no-such-host"}
	for name, url := range map[string]string{
		"refused":       "postgres://theuser:hunter2@127.0.0.1:1/thedatabase",
		"unknown host":  "postgres://theuser:hunter2@no-such-host.invalid/thedatabase",
		"unusable text": "postgres://theuser:hunter2@127.0.0.1:port/thedatabase",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, direct := postgres.Direct(context.Background(), secret.New(url), "test")
			_, walsender := postgres.Replication(context.Background(), secret.New(url), "test", time.Second)
			for _, err := range []error{direct, walsender} {
				if err == nil {
					t.Fatal("connected")
				}
				for _, word := range words {
					if strings.Contains(err.Error(), word) {
						t.Errorf("%q names %q", err, word)
					}
				}
			}
			var failed *pgconn.ConnectError
			if errors.As(direct, &failed) && !postgres.Unreachable(direct) {
				t.Errorf("%v is not taken for unreachable", direct)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"silent":          {fmt.Errorf("reading: %w for 2s", postgres.ErrSilent), true},
		"ended":           {fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), true},
		"reset":           {fmt.Errorf("reading: %w", &net.OpError{Op: "read", Err: syscall.ECONNRESET}), true},
		"no answer":       {fmt.Errorf("asking: %w", context.DeadlineExceeded), true},
		"starting":        {&pgconn.PgError{Code: "57P03"}, true},
		"no right":        {&pgconn.PgError{Code: "42501"}, false},
		"told to stop":    {context.Canceled, false},
		"something wrong": {errors.New("something"), false},
	} {
		if got := postgres.Unreachable(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
