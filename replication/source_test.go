package replication_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"attendee-relay/internal/pgtest"
	"attendee-relay/replication"
)

// The catalog is read while somebody makes the table anew: that is an error, to be tried again, at most.
func TestTheSourceIsReadWhileItIsMadeAnew(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, pgtest.Empty())
	const create = "create table attendees (id int primary key, status text)"
	db.Exec(t, create)
	ctx, stop := context.WithCancel(t.Context())
	pool := db.OwnerPool(t) // the application
	var making sync.WaitGroup
	making.Go(func() {
		for ctx.Err() == nil {
			_, _ = pool.Exec(ctx, "drop table attendees; "+create)
		}
	})
	defer making.Wait()
	defer stop()
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	config := replication.Config{Table: "public.attendees", Key: "id", Status: "status", Accepted: []string{"Accepted"}}
	meanwhile := 0
	for range 1000 {
		if _, err := replication.ReadSource(t.Context(), conn, config); err != nil &&
			strings.Contains(err.Error(), "meanwhile") {
			meanwhile++
		}
	}
	t.Logf("%d of 1000 reads met another table", meanwhile)
}
