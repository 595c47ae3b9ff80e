package postgres_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgserver"
	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/postgres"
	"attendee-relay/internal/secret"
	"attendee-relay/internal/tcptest"
)

// silent is an address whose server accepts and never answers.
func silent(t *testing.T) string {
	t.Helper()
	return tcptest.Serve(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
}

// listing puts hosts before the one of a URL, and a parameter behind it.
func listing(t *testing.T, address, parameter string, before ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgres://%s@%s%s?%s&%s", u.User, strings.Join(append(before, u.Host), ","), u.Path, u.RawQuery,
		parameter)
}

// Two of three servers accept and stay silent. The third is reached on each way, the second time without waiting for
// them.
func TestSilentServersArePassedOver(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conninfo := secret.New(listing(t, db.URL(), "target_session_attrs=read-write", silent(t), silent(t)))
	began := time.Now()
	conn, err := postgres.Direct(t.Context(), conninfo, "test")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	if took := time.Since(began); took < 4*time.Second || took > 20*time.Second {
		t.Errorf("the third server was reached after %v", took)
	}
	began = time.Now()
	walsender, err := postgres.Replication(t.Context(), conninfo, "test", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = walsender.Close(t.Context())
	pool, err := postgres.Pool(conninfo, "test", 1, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	pooled, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pooled.Release()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the silent servers were waited for again: %v", took)
	}
}

func TestAllServersSilent(t *testing.T) {
	t.Parallel()
	for name, conninfo := range map[string]string{
		"one": "postgres://theuser:hunter2@" + silent(t) + "/thedatabase",
		"two": "postgres://theuser:hunter2@" + silent(t) + "," + silent(t) + "/thedatabase?sslmode=prefer",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			_, err := postgres.Direct(context.Background(), secret.New(conninfo).From("DATABASE_URL", nil), "test")
			if err == nil || !postgres.Unreachable(err) ||
				!strings.Contains(err.Error(), "DATABASE_URL: the server did not answer in time") ||
				strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("given up after %v", took)
			}
		})
	}
}

// Each value of target_session_attrs picks the matching server of a pair, in either order, also where the role is
// read-only by default: our sessions are not.
func TestTargetSessionAttrs(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, nil)
	standby := pgtest.Standby(t, primary, pgserver.StandbyOptions{})
	db := pgtest.On(t, primary)
	hostOf := func(address string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return u.Host
	}
	other := hostOf(standby.URL(db.Name()))
	pgtest.WaitUntil(t, time.Minute, "the standby has the database", func() (bool, string) {
		conn, err := pgx.Connect(t.Context(), standby.URL(db.Name()))
		if err != nil {
			return false, err.Error()
		}
		_ = conn.Close(t.Context())
		return true, ""
	})
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	for attrs, wantStandby := range map[string]bool{"read-write": false, "primary": false, "read-only": true,
		"standby": true, "prefer-standby": true} {
		for _, hosts := range []string{u.Host + "," + other, other + "," + u.Host} {
			conninfo := fmt.Sprintf("postgres://%s@%s%s?%s&target_session_attrs=%s", u.User, hosts, u.Path, u.RawQuery, attrs)
			conn, err := postgres.Direct(t.Context(), secret.New(conninfo), "test")
			if err != nil {
				t.Errorf("%s of %s: %v", attrs, hosts, err)
				continue
			}
			var recovering bool
			if err := conn.QueryRow(t.Context(), "SELECT pg_catalog.pg_is_in_recovery()").Scan(&recovering); err != nil ||
				recovering != wantStandby {
				t.Errorf("%s: standby %v, %v", attrs, recovering, err)
			}
			_ = conn.Close(t.Context())
		}
	}
	_, err = postgres.Direct(t.Context(), secret.New(db.URL()+"&target_session_attrs=standby").From("DATABASE_URL", nil),
		"test")
	if err == nil || !strings.Contains(err.Error(),
		"DATABASE_URL: no server that answered is what target_session_attrs asks for") || !postgres.Unreachable(err) {
		t.Errorf("only a primary: %v", err)
	}
}

// hostaddr says where a host is whose name nobody knows.
func TestHostaddr(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	words := fmt.Sprintf("hostaddr=127.0.0.1 port=%s user=%s password='%s' dbname=%s", u.Port(), u.User.Username(),
		password, db.Name())
	for _, conninfo := range []string{
		words, words + " host=no-such-host.invalid", words +
			" host=no-such-host.invalid,nor-this.invalid hostaddr=127.0.0.1,127.0.0.1",
		fmt.Sprintf("postgres://%s@:%s%s?hostaddr=127.0.0.1&%s", u.User, u.Port(), u.Path, u.RawQuery),
	} {
		conn, err := postgres.Direct(t.Context(), secret.New(conninfo), "test")
		if err != nil {
			t.Errorf("%s: %v", strings.ReplaceAll(conninfo, password, "..."), err)
			continue
		}
		_ = conn.Close(t.Context())
	}
}
