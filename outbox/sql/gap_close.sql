-- The gap is closed: streaming goes on from $2. Where the bookkeeping was missing, what the baseline's snapshot shows
-- is in the gap as well.
UPDATE attendee_relay.gap
   SET to_lsn = CASE WHEN reason IN ('books_lost', 'slot_older')
                     THEN greatest($2::text::pg_lsn, pg_catalog.pg_current_wal_insert_lsn())
                     ELSE $2::text::pg_lsn END, ended_at = now(), added = $3, removed = $4
 WHERE number = $1
RETURNING reason, from_lsn::text
