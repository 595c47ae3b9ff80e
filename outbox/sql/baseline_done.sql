-- The baseline is complete: streaming continues from the slot's start, and depends on the objects that $3 names. $2:
-- the slot existed before, so transactions that it repeats and the snapshot shows are skipped.
UPDATE attendee_relay.checkpoint
   SET phase = 'streaming',
       lsn = $1::text::pg_lsn,
       pins = $3::jsonb,
       seen_snapshot = CASE WHEN $2 THEN pg_catalog.pg_current_snapshot()::text END,
       seen_until = CASE WHEN $2 THEN pg_catalog.pg_current_wal_insert_lsn() END
 WHERE phase IN ('own_slot', 'given_slot') AND epoch = $4
