// Command attendee-relay tells the organisers of events, by signed webhooks, of each attendee whose registration was
// accepted, straight from the registration database's replication stream.
//
// The files here are the commands, one each; they wire the stages together and own every long-lived goroutine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks for an orderly end; a second one ends the process at once
	p := &program{environ: os.Environ(), stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(ctx, os.Args[1:]))
}
