package pgserver

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// oldest is the first version of Postgres the relay supports; older binaries are passed over.
const oldest = 14

// places are where packages put the binaries of Postgres without adding them to PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
	"/usr/pgsql-*/bin",                  // the RPMs of the PostgreSQL project
	"/usr/libexec/postgresql*",          // Alpine
}

// locate returns a directory that holds initdb and postgres: the first one on PATH, so that a version is chosen by
// putting it there; else the newest of the usual places; else a downloaded one.
func locate(ctx context.Context, o Options) (string, error) {
	if dir, ok := installed(ctx, filepath.SplitList(os.Getenv("PATH")), places); ok {
		return dir, nil
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx) // the ones found were not asked for their version to the end
	}
	dir, err := download(ctx, o.Cache, o.Repository)
	if err != nil {
		return "", fmt.Errorf("there is no Postgres %d or newer on PATH or in the usual places, and downloading one failed: "+
			"%w; install Postgres (apt-get install postgresql, brew install postgresql@18)", oldest, err)
	}
	return dir, nil
}

func installed(ctx context.Context, path, places []string) (string, bool) {
	for _, dir := range path {
		// A link on PATH leads to the directory where initdb looks for its siblings.
		if target, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")); err == nil {
			dir = filepath.Dir(target)
		}
		if version(ctx, dir) >= oldest {
			return dir, true
		}
	}
	type candidate struct {
		dir     string
		version int
	}
	var found []candidate
	for _, place := range places {
		dirs, _ := filepath.Glob(place) // fails only for a malformed pattern
		for _, dir := range dirs {
			if v := version(ctx, dir); v >= oldest {
				found = append(found, candidate{dir, v})
			}
		}
	}
	if len(found) == 0 {
		return "", false
	}
	newest := slices.MaxFunc(found, func(a, b candidate) int { return cmp.Compare(a.version, b.version) })
	return newest.dir, true
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// version returns the major version of the Postgres in dir; 0: there is none that can be used.
func version(ctx context.Context, dir string) int {
	if !filepath.IsAbs(dir) || !executable(filepath.Join(dir, "initdb")) || !executable(filepath.Join(dir, "postgres")) {
		return 0
	}
	output, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	match := versionText.FindSubmatch(output)
	if match == nil {
		return 0
	}
	major, _ := strconv.Atoi(string(match[1]))
	return major
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
