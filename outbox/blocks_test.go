package outbox_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"attendee-relay/internal/capturetest"
	"attendee-relay/internal/pgtest"
)

// blocks returns how many blocks of these tables of ours and of their indexes work looks at through its pool: what it
// costs, whatever else the machine does. Nobody else may look at them meanwhile.
func blocks(t *testing.T, rig *capturetest.Rig, tables []string, work func(*pgxpool.Pool)) int64 {
	t.Helper()
	const looks = `select coalesce(sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0)),
		0)::bigint
		from pg_statio_user_tables where schemaname = 'attendee_relay' and relname = any ($1)`
	before := pgtest.Value[int64](t, rig.DB, looks, tables)
	name := fmt.Sprintf("blocks %s", t.Name()[:min(50, len(t.Name()))])
	pool := rig.DB.Pool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name })
	work(pool)
	pool.Close()
	// A session reports with its end (PostgreSQL 15 and later; 14 a moment after).
	var looked int64
	pgtest.WaitUntil(t, capturetest.Patience, "the sessions have reported", func() (bool, string) {
		gone := pgtest.Value[bool](t, rig.DB,
			"select not exists (select from pg_stat_activity where application_name = $1)", name)
		looked = pgtest.Value[int64](t, rig.DB, looks, tables) - before
		return gone && looked > 0, fmt.Sprintf("gone: %v, %d blocks", gone, looked)
	})
	return looked
}
