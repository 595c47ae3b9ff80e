package main

import (
	"log"
	"strings"

	"go.uber.org/zap"
)

// maxLibraryLine bounds what is logged of a library's line; a panic that net/http caught comes with its stack.
const maxLibraryLine = 4 << 10

// libraryLog turns each line that net/http and other libraries print to Go's standard logger into a structured one.
type libraryLog struct{ log *zap.Logger }

// captureLibraries sends the standard logger's lines to log, until the returned function is called.
func captureLibraries(to *zap.Logger) (restore func()) {
	flags, prefix, out := log.Flags(), log.Prefix(), log.Writer()
	log.SetFlags(0)
	log.SetPrefix("")
	log.SetOutput(libraryLog{to.Named("library")})
	return func() {
		log.SetFlags(flags)
		log.SetPrefix(prefix)
		log.SetOutput(out)
	}
}

// Write implements io.Writer for one line of the standard logger. The bytes of an answer that nobody asked for, which
// net/http quotes, are left out: they are the receiver's.
func (l libraryLog) Write(line []byte) (int, error) {
	text, _, _ := strings.Cut(strings.TrimSpace(string(line)), " starting with ")
	if len(text) > maxLibraryLine {
		text = text[:maxLibraryLine]
	}
	l.log.Warn("a library reports", zap.String("text", strings.ToValidUTF8(text, "")))
	return len(line), nil
}
