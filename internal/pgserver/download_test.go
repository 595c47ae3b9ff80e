package pgserver

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// repository serves, as a Maven repository does, a jar with an archive whose programs hand over to those in bin, and
// counts the jars it gave away.
func repository(t *testing.T, bin string) (url string, served *atomic.Int64) {
	t.Helper()
	jar := makeJar(t, bin)
	served = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasPrefix(r.URL.Path, "/io/zonky/test/postgres/embedded-postgres-binaries-"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, ".jar.sha256"):
			_, _ = fmt.Fprintf(w, "%x", sha256.Sum256(jar))
		case strings.HasSuffix(r.URL.Path, ".jar"):
			served.Add(1)
			_, _ = w.Write(jar)
		}
	}))
	t.Cleanup(func() { server.Close(); http.DefaultClient.CloseIdleConnections() }) // the library's client
	return server.URL, served
}

func makeJar(t *testing.T, bin string) []byte {
	t.Helper()
	var archive, jar bytes.Buffer
	files := tar.NewWriter(&archive)
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		script := fmt.Sprintf("#!/bin/sh\nexec %s/%s \"$@\"\n", bin, name)
		// Closed to others, as a strict umask would leave them.
		header := tar.Header{Name: "bin/" + name, Mode: 0o700, Size: int64(len(script)), Typeflag: tar.TypeReg}
		if err := files.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write([]byte(script)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	entries := zip.NewWriter(&jar)
	entry, err := entries.Create("postgres-any.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write(storedXZ(archive.Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := entries.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}

// openDir returns a temporary directory that every user may enter; t.TempDir is closed to the user who runs Postgres
// for root.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cache-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDownloadedBinariesRunAServer(t *testing.T) {
	t.Parallel()
	local, ok := installed(t.Context(), filepath.SplitList(os.Getenv("PATH")), places)
	if !ok {
		t.Skip("no Postgres to put into the archive")
	}
	url, served := repository(t, local)
	cache := filepath.Join(openDir(t), "deep", "cache")
	var together sync.WaitGroup
	for range 3 { // as the tests of several packages do
		together.Go(func() {
			if _, err := download(t.Context(), cache, url); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	bin, err := download(t.Context(), cache, url)
	if err != nil {
		t.Fatal(err)
	}
	if served.Load() != 1 {
		t.Errorf("the archive was fetched %d times", served.Load())
	}
	entries, err := os.ReadDir(cache)
	if err != nil || len(entries) != 2 {
		t.Errorf("the cache holds %v, %v; want the lock and the binaries", entries, err)
	}
	account, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	s, err := startFrom(t.Context(), bin, account, Options{Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestDownloadSaysWhatFailed(t *testing.T) {
	t.Parallel()
	empty := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(func() { empty.Close(); http.DefaultClient.CloseIdleConnections() })
	cache := openDir(t)
	_, err := download(t.Context(), cache, empty.URL)
	if err == nil || !strings.Contains(err.Error(), "no version found matching "+string(downloaded)) {
		t.Errorf("an empty repository: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(cache, "[^l]*"))
	if len(left) != 0 {
		t.Errorf("left in the cache: %q", left)
	}

	broken, _ := repository(t, "/nowhere")
	_, err = download(t.Context(), cache, broken)
	if err == nil || !strings.Contains(err.Error(), "do not run on this machine") {
		t.Errorf("binaries that do not run: %v", err)
	}
}

func TestDownloadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	t.Cleanup(func() { close(hold); slow.Close(); http.DefaultClient.CloseIdleConnections() })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := download(ctx, openDir(t), slow.URL); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("download = %v", err)
	}
}
