package main

import (
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns the process's logger: level is LOG_LEVEL, format LOG_FORMAT. Logs go to stderr in every command, so
// that what a command prints can be piped. Logging never waits for whoever reads w; the caller ends with Sync, which
// does, for a second at most.
func newLogger(level, format string, w io.Writer) (*zap.Logger, error) {
	atLeast, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("reading LOG_LEVEL: %w", err)
	}
	keys := zapcore.EncoderConfig{
		TimeKey: "ts", LevelKey: "level", NameKey: "logger", MessageKey: "msg",
		LineEnding:     zapcore.DefaultLineEnding,
		EncodeTime:     zapcore.ISO8601TimeEncoder,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	encoder := zapcore.NewJSONEncoder(keys)
	if format == "console" {
		keys.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(keys)
	}
	sink := newSink(w, func(lines int) []byte { return missingLines(encoder, lines) })
	return zap.New(zapcore.NewCore(encoder, sink, atLeast), zap.ErrorOutput(sink)), nil
}

// missingLines is the line that replaces those that were dropped.
func missingLines(encoder zapcore.Encoder, lines int) []byte {
	entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), LoggerName: "log",
		Message: "log lines are missing here: they were not read, or could not be written, in time"}
	line, err := encoder.EncodeEntry(entry, []zapcore.Field{zap.Int("lines", lines)})
	if err != nil {
		return nil
	}
	defer line.Free()
	return append([]byte(nil), line.Bytes()...)
}
