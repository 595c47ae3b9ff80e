package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// receiver is the process that receives webhooks, seen from the bench.
type receiver struct {
	*child
	url     string
	control string
	client  *http.Client
}

func (b *bench) startReceiver(ctx context.Context) (*receiver, error) {
	c, err := start(ctx, "the receiver", b.self, nil, []string{"receive"})
	if err != nil {
		return nil, err
	}
	var a addresses
	if err := json.NewDecoder(bufio.NewReader(c.out)).Decode(&a); err != nil {
		_ = c.stop()
		return nil, fmt.Errorf("starting the receiver: %w", err)
	}
	return &receiver{child: c, url: a.Webhooks, control: a.Control, client: &http.Client{Timeout: time.Minute}}, nil
}

func (r *receiver) ask(ctx context.Context, method, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, r.control+path, nil)
	if err != nil {
		return err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return fmt.Errorf("asking the receiver: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

func (r *receiver) reset(ctx context.Context) error { return r.ask(ctx, http.MethodDelete, "/", nil) }

func (r *receiver) counts(ctx context.Context) (c counts, err error) {
	return c, r.ask(ctx, http.MethodGet, "/counts", &c)
}

// times returns when each webhook came first, by its id.
func (r *receiver) times(ctx context.Context) (times map[string]time.Time, err error) {
	return times, r.ask(ctx, http.MethodGet, "/times", &times)
}

// rate is how many webhooks a second came between the first and the last one.
func (r *receiver) rate(ctx context.Context) (float64, error) {
	times, err := r.times(ctx)
	if err != nil {
		return 0, err
	}
	came := slices.SortedFunc(maps.Values(times), time.Time.Compare)
	if len(came) < 2 {
		return 0, fmt.Errorf("%d webhooks have no rate", len(came))
	}
	return float64(len(came)-1) / came[len(came)-1].Sub(came[0]).Seconds(), nil
}

// await waits until that many webhooks came.
func (r *receiver) await(ctx context.Context, n int, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		c, err := r.counts(ctx)
		if err != nil || c.Webhooks >= n {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v the receiver has %d of %d webhooks", within, c.Webhooks, n)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
