package outbox_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// The costs of work, that is, the blocks or rows of tables of ours ($1) and their indexes that it reads: they do not
// depend on the load of the machine.
const (
	blocks = `select coalesce(sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)), 0)::bigint
		from pg_statio_user_tables where schemaname = 'attendee_relay' and relname = any ($1)`
	rows = `select (select coalesce(sum(seq_tup_read), 0) from pg_stat_user_tables where schemaname = 'attendee_relay'
		and relname = any ($1))::bigint
		+ (select coalesce(sum(idx_tup_read), 0) from pg_stat_user_indexes where schemaname = 'attendee_relay'
			and relname = any ($1))::bigint`
)

// looked returns how many blocks or rows work reads through its pool. Nobody else may read them meanwhile.
func looked(t *testing.T, rig *capturetest.Rig, measure string, tables []string, work func(*pgxpool.Pool)) int64 {
	t.Helper()
	rig.DB.Reported(t)
	before := pgtest.Value[int64](t, rig.DB, measure, tables)
	name := fmt.Sprintf("looked %s", t.Name()[:min(50, len(t.Name()))])
	pool := rig.DB.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name })
	work(pool)
	pool.Close()
	// A session reports with its end (PostgreSQL 15 and later; 14 a moment after).
	var found int64
	pgtest.WaitUntil(t, capturetest.Patience, "the sessions have reported", func() (bool, string) {
		gone := pgtest.Value[bool](t, rig.DB,
			"select not exists (select from pg_stat_activity where application_name = $1)", name)
		found = pgtest.Value[int64](t, rig.DB, measure, tables) - before
		return gone && found > 0, fmt.Sprintf("gone: %v, %d", gone, found)
	})
	return found
}
