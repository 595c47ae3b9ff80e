package demo_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/demo"
)

// output collects what the demo prints and signals each line.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	watch func(line string)
}

func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watch != nil {
		o.watch(string(line))
	}
	return o.text.Write(line)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func TestRunPlaysAndCleansUp(t *testing.T) {
	t.Parallel()
	var out output
	var dataDir string
	relay := func(ctx context.Context, databaseURL, receiverURL string) error {
		conn, err := pgx.Connect(ctx, databaseURL)
		if err != nil {
			return err
		}
		err = conn.QueryRow(ctx, "show data_directory").Scan(&dataDir)
		if err := errors.Join(err, conn.Close(ctx)); err != nil {
			return err
		}
		repeat := func(n int) int { return 1 + n/2%2 } // not the last one, which ends the play
		return fakeRelay{sends: repeat}.run(ctx, databaseURL, receiverURL)
	}
	err := demo.Run(t.Context(), demo.Options{Attendees: 8, Pace: 10 * time.Millisecond, Out: &out, Relay: relay})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	webhook := regexp.MustCompile(`(?m)^<- +\d+\.\d ms \| attendee_accepted: .* \| signature verified \| msg_\d$`)
	if n := len(webhook.FindAllString(out.String(), -1)); n != 8 {
		t.Errorf("%d webhooks printed:\n%s", n, &out)
	}
	summary := regexp.MustCompile(`Announced 8 of 8 acceptances, 4 webhooks repeated, 0 unexpected; .*: median \d`)
	if !summary.MatchString(out.String()) {
		t.Errorf("the summary is missing:\n%s", &out)
	}
	if _, err := os.Stat(filepath.Dir(dataDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data directory %q is left: %v", dataDir, err)
	}
}

func TestRunEndsWellWhenInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	out := output{watch: func(line string) {
		if strings.HasPrefix(line, "<- ") {
			interrupt()
		}
	}}
	if err := demo.Run(ctx, demo.Options{Out: &out, Relay: fakeRelay{}.run}); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "Announced 1 of 1 acceptances") {
		t.Errorf("the summary is missing:\n%s", &out)
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("the relay's own words")
	for _, c := range []struct {
		name  string
		relay func(ctx context.Context, databaseURL, receiverURL string) error
		want  string
	}{
		{"when the relay does", func(context.Context, string, string) error { return broken }, broken.Error()},
		{"when the relay gives up", func(context.Context, string, string) error { return nil }, "ended by itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out output
			err := demo.Run(t.Context(), demo.Options{For: time.Second, Out: &out, Relay: c.relay})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Run = %v", err)
			}
		})
	}
}

func TestRunIsInterruptedWhileStarting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var out output
	if err := demo.Run(ctx, demo.Options{Out: &out, Relay: fakeRelay{}.run}); err != nil {
		t.Errorf("Run = %v", err)
	}
}
