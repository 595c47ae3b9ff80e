package main

import (
	"context"
	"encoding/base64"
	"runtime"
	"strings"
	"testing"
)

func TestExitStatusOfWrongUsage(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no command":                 {nil, statusUsage, "no command was given"},
		"an unknown command":         {[]string{"runn"}, statusUsage, "unknown command"},
		"an unknown flag":            {[]string{"version", "--loud"}, statusUsage, "unknown flag: --loud"},
		"an unknown flag up front":   {[]string{"--loud"}, statusUsage, "unknown flag: --loud"},
		"arguments where none go":    {[]string{"secret", "x"}, statusUsage, "unknown command"},
		"a flag that is no number":   {[]string{"listen", "--status", "ok"}, statusUsage, "--status"},
		"a status that HTTP has not": {[]string{"listen", "--status", "99"}, statusUsage, "--status must be"},
		"a negative count":           {[]string{"listen", "--max", "-1"}, statusUsage, "--max must"},
		"a secret that is none":      {[]string{"listen", "--secret", "whsec_%"}, statusUsage, "secret 1"},
		"an address that is none":    {[]string{"listen", "--addr", "nowhere:x"}, statusFailed, "listening"},
		"help":                       {[]string{"help"}, statusDone, ""},
		"help for a command":         {[]string{"listen", "--help"}, statusDone, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := execute(t.Context(), nil, test.args...)
			if got.status != test.status || !strings.Contains(got.stderr, test.says) {
				t.Errorf("status %d, want %d; stderr %q", got.status, test.status, got.stderr)
			}
			if test.status != statusDone && got.stdout != "" {
				t.Errorf("stdout has %q", got.stdout)
			}
			if strings.Contains(got.stderr, "whsec_%") {
				t.Errorf("a secret shows in %q", got.stderr)
			}
		})
	}
}

func TestExitStatusOfWrongConfiguration(t *testing.T) {
	t.Parallel()
	environ := []string{"DELIVERY_SIGNING_SECRETS=hunter2,,x", "DELIVERY_SIGNING_SECRETS_FILE="}
	got := execute(t.Context(), environ, "listen")
	if got.status != statusUsage || !strings.Contains(got.stderr, "DELIVERY_SIGNING_SECRETS: element 2") {
		t.Errorf("%+v", got)
	}
	if strings.Contains(got.stderr, "hunter2") {
		t.Errorf("a secret shows in %q", got.stderr)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := execute(t.Context(), nil, "version")
	fields := strings.Fields(got.stdout)
	if got.status != statusDone || len(fields) != 4 || fields[0] != "attendee-relay" || fields[2] != runtime.Version() {
		t.Errorf("%+v", got)
	}
}

func TestSecretIsNewAndLongEnough(t *testing.T) {
	t.Parallel()
	first, second := execute(t.Context(), nil, "secret"), execute(t.Context(), nil, "secret")
	text, isSecret := strings.CutPrefix(strings.TrimSuffix(first.stdout, "\n"), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !isSecret || err != nil || len(key) != 32 || first.stdout == second.stdout || first.status != statusDone {
		t.Errorf("%+v and %+v", first, second)
	}
}

// result is what an invocation left behind.
type result struct {
	status         int
	stdout, stderr string
}

// execute runs one invocation to its end inside this process.
func execute(ctx context.Context, environ []string, args ...string) result {
	var stdout, stderr strings.Builder
	p := &program{environ: environ, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}
	status := p.run(ctx, args)
	return result{status: status, stdout: stdout.String(), stderr: stderr.String()}
}
