package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/zap"
)

// Nobody reads for a while. Nobody who logs waits for that, and afterwards every line is there or counted as missing.
func TestALogThatNobodyReads(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	log, err := newLogger("info", "json", write)
	if err != nil {
		t.Fatal(err)
	}
	const lines = 20_000
	padding := strings.Repeat("x", 200)
	for i := range lines {
		log.Info(strconv.Itoa(i), zap.String("padding", padding))
	}
	_ = log.Sync() // gives up after a second
	go func() {
		log.Info("the end")
		for range 60 { // a second each, unless all is written: the reader below may be slow
			_ = log.Sync()
		}
		_ = write.Close()
	}()
	var there, missing, last int
	scanner := bufio.NewScanner(read)
	for scanner.Scan() {
		var entry struct {
			Msg   string
			Lines int
		}
		if err := json.Unmarshal(scanner.Bytes(), &entry); err != nil {
			t.Fatalf("%q: %v", scanner.Text(), err)
		}
		n, err := strconv.Atoi(entry.Msg)
		switch {
		case err == nil && n < last:
			t.Errorf("%d comes after %d", n, last)
		case err == nil:
			there, last = there+1, n
		default:
			missing += entry.Lines
		}
	}
	if there+missing < lines || there+missing > lines+1 || missing == 0 || there > sinkLimit/len(padding) {
		t.Errorf("of %d lines %d are there and %d are said to be missing", lines, there, missing)
	}
}

// flaky is a writer that fails for a while, after half a line.
type flaky struct {
	strings.Builder
	fails atomic.Bool
	err   error
}

func (f *flaky) Write(p []byte) (int, error) {
	if f.fails.Load() {
		f.Builder.Write(p[:len(p)/2])
		return len(p) / 2, f.err
	}
	return f.Builder.Write(p)
}

// A full disk or a closed pipe loses lines, and no more than that.
func TestALogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, err := range []error{syscall.ENOSPC, syscall.EPIPE, errors.New("unknown")} {
		out := &flaky{err: err}
		log, loggerErr := newLogger("info", "json", out)
		if loggerErr != nil {
			t.Fatal(loggerErr)
		}
		out.fails.Store(true)
		log.Info("one")
		_ = log.Sync()
		log.Info("two")
		_ = log.Sync()
		out.fails.Store(false)
		log.Info("three")
		_ = log.Sync()
		text := out.String()
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if len(lines) < 2 || !strings.Contains(text, `"lines":2`) || !strings.Contains(lines[len(lines)-1], `"three"`) ||
			!json.Valid([]byte(lines[len(lines)-1])) {
			t.Errorf("%v:\n%s", err, text)
		}
	}
}
