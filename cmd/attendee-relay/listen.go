package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"attendee-relay/config"
)

// listenStop is how long answers under way may take once listen was told to stop.
const listenStop = 5 * time.Second

var (
	errListenStop = errors.New("answers under way took too long")
	// errEnough ends listen after --max webhooks, without a failure.
	errEnough = errors.New("that was the last webhook asked for")
)

// listenOptions are the flags of listen.
type listenOptions struct {
	addr    string
	secrets []string
	status  int
	most    int
	json    bool
}

func newListenCommand(p *program) *cobra.Command {
	var o listenOptions
	command := &cobra.Command{
		Use:   "listen",
		Short: "Receive webhooks, verify their signatures and print them",
		Long: `Receives webhooks, verifies their signatures and prints them, to try a relay out.

The secrets are those of --secret, else of DELIVERY_SIGNING_SECRETS. A webhook that none of them
signed is still printed, and answered with 401 as a receiver should. Without any secret nothing is
verified and every webhook is accepted.

It listens on plain http, on an address that is not public. A relay sends to it only with both of
these settings:

  DELIVERY_ALLOW_HTTP=true DELIVERY_ALLOW_NETWORKS=127.0.0.0/8 attendee-relay run

With another --addr, allow the network of that address.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.listen(cmd.Context(), o) },
	}
	flags := command.Flags()
	flags.StringVar(&o.addr, "addr", "127.0.0.1:9000", "host:port to listen on")
	flags.StringArrayVar(&o.secrets, "secret", nil,
		"secret to verify with, whsec_... or the key as text; may be repeated, or hold several separated by blanks")
	flags.IntVar(&o.status, "status", 0, "answer everything with this status, to try retries out (default 204, or 401)")
	flags.IntVar(&o.most, "max", 0, "end with exit status 0 after so many webhooks (default: never)")
	flags.BoolVar(&o.json, "json", false, "print one JSON object a line")
	return command
}

// listen receives until ctx is done or the last webhook that was asked for is answered.
func (p *program) listen(ctx context.Context, o listenOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	secrets, err := p.listenSecrets(o)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("listening for webhooks: %w", err)
	}
	_, _ = fmt.Fprintf(p.stderr, "listening on http://%s, secrets to verify with: %d\n", listener.Addr(), len(secrets))

	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	webhooks := &webhookPrinter{out: p.stdout, secrets: secrets, status: o.status, most: o.most, json: o.json, end: end}
	complaints, err := newLogger("warn", "console", p.stderr)
	if err != nil {
		return err
	}
	return serve(ctx, listener, webhooks, complaints)
}

// check reports what is wrong with the flags' values.
func (o listenOptions) check() error {
	if o.status != 0 && (o.status < 200 || o.status > 599) {
		return usageError{errors.New("--status must be 200 to 599")}
	}
	if o.most < 0 {
		return usageError{errors.New("--max must not be negative")}
	}
	return nil
}

// listenSecrets returns the secrets of the flags, else those of the environment.
func (p *program) listenSecrets(o listenOptions) ([]string, error) {
	secrets := o.secrets
	if len(secrets) == 0 {
		set, err := config.SigningSecrets(p.environ)
		if err != nil {
			return nil, err
		}
		for _, s := range set {
			secrets = append(secrets, s.Reveal())
		}
	}
	secrets = strings.Fields(strings.Join(secrets, " ")) // one text may hold several
	for i, text := range secrets {
		if encoded, ok := strings.CutPrefix(text, "whsec_"); ok {
			if _, err := base64.StdEncoding.DecodeString(encoded); err != nil {
				return nil, usageError{fmt.Errorf("secret %d is not base64 after whsec_", i+1)}
			}
		}
	}
	return secrets, nil
}

// serve runs an HTTP server until ctx is done and lets answers under way finish. It returns an error unless the server
// ended because of an interruption or after the last webhook that was asked for.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, complaints *zap.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(libraryLog{complaints}, "", 0),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving webhooks: %w", err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), listenStop, errListenStop)
	defer cancel()
	if server.Shutdown(wait) != nil {
		_ = server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving webhooks: %w", err)
	}
	if why := context.Cause(ctx); !errors.Is(why, context.Canceled) && !errors.Is(why, errEnough) {
		return why
	}
	return nil
}
