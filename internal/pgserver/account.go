package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the unprivileged user who runs Postgres in root's place; nil: the user we already are. Postgres
// and initdb refuse to run as root.
type account struct {
	name     string
	uid, gid uint32
}

// unprivileged returns the account to run Postgres as: none for an ordinary user; for root the user postgres, whom
// packages of Postgres create, or else nobody.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("running Postgres: it refuses to run as root, and there is no user postgres or nobody to run " +
		"it as; create one (useradd --system postgres) or run this as an ordinary user")
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own gives path to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("giving %s to the user %s: %w", path, a.name, err)
	}
	return nil
}

// mayEnter returns an error naming the first directory on the way to dir that the account may not enter. Without it
// Postgres would only say "permission denied".
func (a *account) mayEnter(dir string) error {
	if a == nil {
		return nil
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if !a.mayExecute(info) {
			return fmt.Errorf("the user %s, who runs Postgres for root, may not enter %s", a.name, dir)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

func (a *account) mayExecute(info fs.FileInfo) bool {
	bit := fs.FileMode(0o001)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case stat.Uid == a.uid:
			bit = 0o100
		case stat.Gid == a.gid:
			bit = 0o010
		}
	}
	return info.Mode()&bit != 0
}
