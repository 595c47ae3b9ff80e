package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// downloaded is the version fetched where none is installed.
const downloaded = embeddedpostgres.V18

// download returns the directory of the binaries in the cache, and fetches them first if they are not there. The
// library does the fetching and unpacking only: its own way of starting fails as root, ours does not.
func download(ctx context.Context, cache, repository string) (string, error) {
	if cache == "" {
		var err error
		if cache, err = defaultCache(); err != nil {
			return "", err
		}
	}
	home := filepath.Join(cache, "postgres-"+string(downloaded))
	bin := filepath.Join(home, "bin")
	if version(ctx, bin) >= oldest {
		return bin, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("making the cache for Postgres: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if version(ctx, bin) >= oldest { // another process fetched it while we waited
		return bin, nil
	}
	if err := fetch(ctx, cache, home, repository); err != nil {
		return "", err
	}
	if version(ctx, bin) < oldest {
		return "", fmt.Errorf("the binaries in %s do not run on this machine", bin)
	}
	return bin, nil
}

// fetch unpacks into a directory beside home and renames it, so that a half-unpacked one is never used. It first
// removes what an interrupted download left; the lock is held, so that no other one is at work.
func fetch(ctx context.Context, cache, home, repository string) error {
	abandoned, _ := filepath.Glob(filepath.Join(cache, "unpacking-*")) // fails only for a malformed pattern
	for _, dir := range abandoned {
		_ = os.RemoveAll(dir)
	}
	work, err := os.MkdirTemp(cache, "unpacking-")
	if err != nil {
		return fmt.Errorf("making a directory to unpack Postgres in: %w", err)
	}
	unpacked := filepath.Join(work, "postgres")
	done := make(chan error, 1)
	go func() { // the library knows no context; after a cancellation it finishes or fails unheard
		done <- errors.Join(unpack(work, unpacked, repository), os.RemoveAll(filepath.Join(work, "archive")))
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return fmt.Errorf("downloading Postgres: %w", context.Cause(ctx))
	}
	if err == nil {
		err = open(unpacked)
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(home), os.Rename(unpacked, home))
	}
	return errors.Join(err, os.RemoveAll(work))
}

// unpack has the library download the archive and unpack it. The library offers this only as the first step of Start,
// which goes on to clear the data directory: a path ending in a dot cannot be cleared (os.RemoveAll promises an error),
// so that Start ends there, before it would run anything. Whether it got so far is seen by the binaries. An empty log
// file of the library's stays in the temporary directory.
func unpack(work, target, repository string) error {
	config := embeddedpostgres.DefaultConfig().
		Version(downloaded).
		Port(0). // the library checks that it is free
		CachePath(filepath.Join(work, "archive")).
		RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(target).
		DataPath(work + "/data/.").
		Logger(io.Discard)
	if repository != "" {
		config = config.BinaryRepositoryURL(repository)
	}
	failed := embeddedpostgres.NewDatabase(config).Start()
	for _, name := range []string{"initdb", "postgres"} {
		if !executable(filepath.Join(target, "bin", name)) {
			return fmt.Errorf("downloading Postgres %s: %w", downloaded, failed)
		}
	}
	return nil
}

// open lets every user read the binaries, whatever our umask: for root, another user runs them.
func open(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// defaultCache returns a directory that the user who runs Postgres may enter: root's own cache is closed to others.
func defaultCache() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/attendee-relay", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("looking for a cache directory: %w", err)
	}
	return filepath.Join(cache, "attendee-relay"), nil
}

// lock waits until no other process unpacks into the cache; the tests of several packages start together. The system
// frees the lock of a process that dies.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	//nolint:gosec // the path is our own, and other users share the cache
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the cache's lock: %w", err)
	}
	// Asked again and again, because nothing ends a flock that blocks when the caller gives up.
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		return nil, errors.Join(fmt.Errorf("waiting for another download of Postgres: %w", err), file.Close())
	}
}
