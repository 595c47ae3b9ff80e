package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pretend makes a directory with an initdb and a postgres of the given version, or without what is not wanted.
func pretend(t *testing.T, dir, version string, names ...string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s (Debian)'\n", version)
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInstalledPrefersPathThenTheNewest(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	makeIn := func(dir, version string, names ...string) string {
		return pretend(t, filepath.Join(root, dir, "bin"), version, names...)
	}
	ancient := makeIn("path/9", "9.6.24", "initdb", "postgres")
	half := makeIn("path/half", "17.1", "postgres")
	onPath := makeIn("path/15", "15.18", "initdb", "postgres")
	makeIn("place/9", "9.6.24", "initdb", "postgres")
	makeIn("place/16", "16.14", "initdb", "postgres")
	newest := makeIn("place/18", "18beta1", "initdb", "postgres")
	makeIn("place/19", "19.0", "initdb")
	linked := filepath.Join(root, "linked")
	if err := os.Mkdir(linked, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(onPath, "postgres"), filepath.Join(linked, "postgres")); err != nil {
		t.Fatal(err)
	}
	place := []string{filepath.Join(root, "place/*/bin"), filepath.Join(root, "nowhere/*")}

	for _, c := range []struct {
		name string
		path []string
		want string
	}{
		{"PATH goes first, what is too old or incomplete is passed over", []string{"", ".", ancient, half, onPath}, onPath},
		{"a link leads to the real directory", []string{linked}, onPath},
		{"nothing on PATH: the newest of the usual places", []string{ancient, half}, newest},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := installed(t.Context(), c.path, place)
			if want, _ := filepath.EvalSymlinks(c.want); !ok || (got != c.want && got != want) {
				t.Errorf("installed = %q, %t, want %q", got, ok, c.want)
			}
		})
	}
	if got, ok := installed(t.Context(), []string{ancient}, nil); ok {
		t.Errorf("found %q where there is none", got)
	}
}

func TestMayEnterNamesTheClosedDirectory(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(root, "closed")
	inner := filepath.Join(closed, "inner")
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := &account{name: "stranger", uid: 4_000_000_000, gid: 4_000_000_000}
	err = stranger.mayEnter(inner)
	if err == nil || !strings.Contains(err.Error(), "stranger") || !strings.Contains(err.Error(), closed) ||
		strings.Contains(err.Error(), inner) {
		t.Errorf("mayEnter = %v", err)
	}
	if err := (*account)(nil).mayEnter(inner); err != nil {
		t.Errorf("the user we are: %v", err)
	}
	if err := stranger.mayEnter("/"); err != nil {
		t.Errorf("the root directory: %v", err)
	}
}
