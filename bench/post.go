package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// post is one request that the bare client makes.
type post struct {
	URL  string          `json:"url"`
	Body json.RawMessage `json:"body"`
}

// newPostCommand is the bare client's process: it posts each line of a file over keep-alive connections with a number
// of senders, and does nothing else.
func newPostCommand() *cobra.Command {
	var senders int
	cmd := &cobra.Command{Use: "post FILE", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			posts, err := readPosts(arguments[0])
			if err != nil {
				return err
			}
			began, before := time.Now(), ownCPU()
			if err := sendAll(cmd.Context(), posts, senders); err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(cost{time.Since(began).Seconds(), ownCPU() - before})
		}}
	cmd.Flags().IntVar(&senders, "senders", 16, "requests in flight")
	return cmd
}

// cost is what the sending took, reading the file not among it.
type cost struct{ Seconds, CPU float64 }

// ownCPU returns this process's CPU seconds so far.
func ownCPU() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails for other arguments only (getrusage(2))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func readPosts(path string) ([]post, error) {
	file, err := os.Open(path) //nolint:gosec // the bench's own file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var posts []post
	for decoder := json.NewDecoder(bufio.NewReader(file)); ; {
		var p post
		switch err := decoder.Decode(&p); err {
		case nil:
			posts = append(posts, p)
		case io.EOF:
			return posts, nil
		default:
			return nil, err
		}
	}
}

func sendAll(ctx context.Context, posts []post, senders int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: senders, MaxIdleConnsPerHost: senders}}
	work := make(chan int, senders)
	var sending sync.WaitGroup
	failed := make(chan error, senders)
	for range senders {
		sending.Go(func() {
			for i := range work {
				if err := send(ctx, client, i, &posts[i]); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	for i := range posts {
		select {
		case work <- i:
		case err := <-failed:
			return err
		}
	}
	close(work)
	sending.Wait()
	close(failed)
	return <-failed
}

func send(ctx context.Context, client *http.Client, n int, p *post) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL, bytes.NewReader(p.Body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("webhook-id", fmt.Sprint(n))
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return err
}
