package main

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the bench's own program for the processes that the bench starts of itself: their first argument is a
// command's name.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// A round of the quickest scenario, from the relay's build to the table; whether the figures are good is not looked at.
func TestBenchShort(t *testing.T) {
	t.Parallel()
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("it takes some seconds, and reads /proc")
	}
	var table, progress bytes.Buffer
	if err := run(t.Context(), options{rounds: 1, only: []string{"drain"}, short: true}, &table, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	if strings.Contains(progress.String(), "discarded") {
		t.Skip("the machine was taken away meanwhile: ", progress.String())
	}
	for _, f := range []*figure{drainRate, bareRate, drainShare, drainCPU, drainMemory} {
		if !strings.Contains(table.String(), f.name) {
			t.Errorf("%q is not in the table:\n%s", f.name, table.String())
		}
	}
}

func TestRunRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]options{
		`no scenario "drian"`:   {rounds: 1, only: []string{"drain", "drian"}},
		"--rounds must be 1 at": {rounds: 0},
	} {
		if err := run(context.Background(), o, &bytes.Buffer{}, &bytes.Buffer{}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
