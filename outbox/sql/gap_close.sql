-- The gap is closed: streaming continues from $2. If the bookkeeping was missing, the gap includes the rows that the
-- baseline's snapshot shows.
UPDATE attendee_relay.gap
   SET to_lsn = CASE WHEN reason IN ('books_lost', 'slot_older')
                     THEN greatest($2::text::pg_lsn, pg_catalog.pg_current_wal_insert_lsn())
                     ELSE $2::text::pg_lsn END, ended_at = now(), added = $3, removed = $4
 WHERE number = $1
RETURNING reason, from_lsn::text
