package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// drop removes the database. A client that reconnects for ever would keep it: first nobody may connect any more, then
// those connected are cut off, then the slots go, which keep a database from being dropped.
func (db *DB) drop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	pool, err := admin(db.server)
	if err == nil {
		err = pool.Ping(ctx)
	}
	if err != nil {
		t.Logf("the test's database is not dropped, its server is gone: %v", err)
		return
	}
	if _, err := pool.Exec(ctx, "alter database "+db.name+" allow_connections false"); err != nil {
		t.Errorf("closing the test's database: %v", err)
	}
	WaitUntil(t, 20*time.Second, "the replication slots of "+db.name+" are dropped", func() (bool, string) {
		return db.dropSlots(ctx, pool)
	})
	if _, err := pool.Exec(ctx, "drop database "+db.name+" with (force)"); err != nil {
		t.Errorf("dropping the test's database: %v", err)
	}
}

// dropSlots cuts off the database's clients and drops the slots that nobody holds any more. A slot whose creation waits
// for a transaction appears only when that one has ended, so it asks for both until there is none.
func (db *DB) dropSlots(ctx context.Context, pool *pgxpool.Pool) (done bool, state string) {
	const terminate = `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`
	if _, err := pool.Exec(ctx, terminate, db.name); err != nil {
		return false, err.Error()
	}
	const drop = `select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1 and not active`
	if _, err := pool.Exec(ctx, drop, db.name); err != nil {
		return false, err.Error()
	}
	const left = `select (select count(*) from pg_replication_slots where database = $1),
		(select count(*) from pg_stat_activity where datname = $1)`
	var slots, clients int
	if err := pool.QueryRow(ctx, left, db.name).Scan(&slots, &clients); err != nil {
		return false, err.Error()
	}
	return slots+clients == 0, fmt.Sprintf("%d slots, %d clients left", slots, clients)
}
