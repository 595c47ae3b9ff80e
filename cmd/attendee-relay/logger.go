package main

import (
	"fmt"
	"io"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns the process's logger: level is LOG_LEVEL, format LOG_FORMAT. Logs go to stderr in every command, so
// that what a command prints can be piped.
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
	sink := zapcore.Lock(zapcore.AddSync(w))
	return zap.New(zapcore.NewCore(encoder, sink, atLeast), zap.ErrorOutput(sink)), nil
}
