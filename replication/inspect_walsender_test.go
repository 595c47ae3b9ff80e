package replication_test

import (
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"attendee-relay/internal/pgtest"
	"attendee-relay/internal/secret"
)

// A pooler that drops what it does not know would leave a frozen leader its slot for the server's minute.
func TestTakeoverThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	role := "relay_" + db.Name()
	// A superuser lacks nothing else that would be found.
	db.Exec(t, table+"create role "+role+" superuser login password 'x'")
	t.Cleanup(func() { db.Exec(t, "drop role "+role) })
	i := inspector(t, db)
	i.URL = secret.New(forgetful(t, db.As(t, role, "x"), "wal_sender_timeout"))
	found := inspect(t, i)
	if got := withoutWALKeep(unmet(found)); !slices.Equal(got, []string{"warn sender_timeout"}) {
		t.Fatalf("not ok: %q:\n%s", got, describe(found))
	}
	last := found.Findings[len(found.Findings)-1]
	t.Log(last.Message, last.Fix)
	paste(t, db, nil, last.Fix)
	if found := inspect(t, i); len(withoutWALKeep(unmet(found))) > 0 {
		t.Errorf("not ok after the fix:\n%s", describe(found))
	}
}

func TestPoolerInTheWayOfReplication(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	db.Exec(t, table)
	i := inspector(t, db)
	i.URL = secret.New(forgetful(t, db.URL(), "replication"))
	found := inspect(t, i)
	if got := withoutWALKeep(unmet(found)); !slices.Equal(got, []string{"fail replication_refused"}) {
		t.Errorf("not ok: %q:\n%s", got, describe(found))
	}
}

// forgetful is a proxy that drops a start-up parameter.
func forgetful(t *testing.T, to, parameter string) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { forget(client, server, parameter) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); open.Wait() })
	u.Host = listener.Addr().String()
	return u.String()
}

func forget(client net.Conn, server, parameter string) {
	defer func() { _ = client.Close() }()
	message, err := pgproto3.NewBackend(client, client).ReceiveStartupMessage()
	startup, ok := message.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	delete(startup.Parameters, parameter)
	text, err := startup.Encode(nil)
	if err != nil {
		return
	}
	onward, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer func() { _ = onward.Close() }()
	if _, err := onward.Write(text); err != nil {
		return
	}
	go func() { _, _ = io.Copy(onward, client); _ = onward.Close() }()
	_, _ = io.Copy(client, onward)
}
