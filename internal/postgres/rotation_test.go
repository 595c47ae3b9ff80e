package postgres_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
)

// A password that changes is read again for each new connection, on each way; while its file cannot be read there is
// none, and the error names the variable.
func TestPasswordIsReadForEachConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	role := db.Name()
	db.Exec(t, "create role "+role+" login replication password 'first'")
	t.Cleanup(func() { db.Exec(t, "drop role "+role) })
	var now atomic.Value
	now.Store(db.As(t, role, "first"))
	conninfo := secret.New(now.Load().(string)).From("DATABASE_URL", func() (string, error) {
		if now.Load() == "" {
			return "", errors.New("DATABASE_URL_FILE names a file that cannot be used: it is empty")
		}
		return now.Load().(string), nil
	})
	pool, err := postgres.Pool(conninfo, "test", 1, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	connect := func() (errs []error) {
		direct, err := postgres.Direct(t.Context(), conninfo, "test")
		if errs = append(errs, err); err == nil {
			_ = direct.Close(t.Context())
		}
		walsender, err := postgres.Replication(t.Context(), conninfo, "test", time.Second)
		if errs = append(errs, err); err == nil {
			_ = walsender.Close(t.Context())
		}
		pool.Reset()
		pooled, err := pool.Acquire(t.Context())
		if errs = append(errs, err); err == nil {
			pooled.Release()
		}
		return errs
	}
	expect := func(when, words string) {
		t.Helper()
		for _, err := range connect() {
			if words == "" && err != nil {
				t.Errorf("%s: %v", when, err)
			}
			if words != "" && (err == nil || !strings.Contains(err.Error(), words) || !postgres.Unreachable(err) ||
				strings.Contains(err.Error(), role)) {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	expect("at the start", "")
	db.Exec(t, "alter role "+role+" password 'second'")
	expect("after a change in the database alone",
		"DATABASE_URL: the server refused the connection (the password is wrong")
	now.Store(db.As(t, role, "second"))
	expect("after the change", "")
	now.Store("")
	expect("while the file is empty", "DATABASE_URL_FILE")
	now.Store("mysql://" + role + ":x@y/z")
	expect("while the file holds something else", "DATABASE_URL: it must begin")
	now.Store(db.As(t, role, "second"))
	expect("in the end", "")
}
