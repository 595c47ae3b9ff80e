package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestLoggerWritesJSONWithTheAgreedKeys(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log, err := newLogger("info", "json", &out)
	if err != nil {
		t.Fatal(err)
	}
	log.Named("outbox").Debug("not shown")
	log.Named("outbox").Info("recorded", zap.Duration("took", 1500*time.Millisecond), zap.Error(errors.New("a\nb")))
	_ = log.Sync()

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var entry map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &entry); err != nil || len(lines) != 1 {
		t.Fatalf("%q is not one JSON line: %v", out.String(), err)
	}
	if entry["level"] != "info" || entry["logger"] != "outbox" || entry["msg"] != "recorded" || entry["took"] != "1.5s" {
		t.Errorf("entry = %v", entry)
	}
	ts, _ := entry["ts"].(string)
	if _, err := time.Parse("2006-01-02T15:04:05.000Z0700", ts); err != nil {
		t.Errorf("ts: %v", err)
	}
}

func TestLoggerWritesForPeople(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log, err := newLogger("warn", "console", &out)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not shown")
	log.Warn("the slot is gone")
	_ = log.Sync()
	if text := out.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "WARN\tthe slot is gone") {
		t.Errorf("%q", text)
	}
}

func TestLoggerRefusesAnUnknownLevel(t *testing.T) {
	t.Parallel()
	if _, err := newLogger("loud", "json", &strings.Builder{}); err == nil {
		t.Error("no error")
	}
}
