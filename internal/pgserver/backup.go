package pgserver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// passedOver are files and contents of directories that a copy of a running server must not have or does not need
// (PostgreSQL's documentation of the low-level backup). The WAL is copied by itself.
var passedOver = []string{"postmaster.pid", "postmaster.opts", "pg_wal/", "pg_replslot/", "pg_dynshmem/", "pg_notify/",
	"pg_serial/", "pg_snapshots/", "pg_stat_tmp/", "pg_subtrans/", "pg_internal.init"}

// copyFrom copies a part of another server's data directory into ours. Files may vanish and change meanwhile: the WAL
// that is replayed afterwards repairs the copy.
func (s *Server) copyFrom(primary *Server, part string) error {
	root := primary.DataDir()
	return filepath.WalkDir(filepath.Join(root, part), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if part == "." && leftOut(relative) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		target := filepath.Join(s.DataDir(), relative)
		if entry.IsDir() {
			err = os.MkdirAll(target, 0o700)
		} else {
			err = copyFile(path, target)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("copying %s: %w", relative, err)
		}
		return s.account.own(target)
	})
}

// leftOut reports whether a path is passed over. Of a directory only what is in it is.
func leftOut(path string) bool {
	return slices.ContainsFunc(passedOver, func(name string) bool {
		if directory, ok := strings.CutSuffix(name, "/"); ok {
			return filepath.Dir(path) == directory
		}
		return filepath.Base(path) == name
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from) //nolint:gosec // a file of a private server
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // a file of a private server
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
