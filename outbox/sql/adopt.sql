-- Binds the bookkeeping to this database, fences off the present leader, and has the next leader take a baseline, which
-- announces the rows that the ledger lacks by then. An open gap stays the one that the baseline closes. $4: the watched
-- table is another one, so the ledger and the waiting acceptances mean nothing any more.
WITH emptied AS (
    DELETE FROM attendee_relay.ledger WHERE $4
), ended AS (
    UPDATE attendee_relay.acceptance SET state = 'empty', last_error = 'the watched table is another one since'
     WHERE $4 AND state = 'waiting'
), adopted AS (
    UPDATE attendee_relay.checkpoint
       SET system_id = (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
           database = pg_catalog.current_database(),
           deployment = $1,
           source = $2::jsonb,
           phase = $3,
           epoch = epoch + 1,
           seen_snapshot = NULL,
           seen_until = NULL,
           spool_step = CASE WHEN $4 THEN NULL ELSE spool_step END
    RETURNING lsn
)
INSERT INTO attendee_relay.gap (reason, from_lsn, announce)
SELECT 'adopted', lsn, true
  FROM adopted
    ON CONFLICT ((true)) WHERE ended_at IS NULL DO UPDATE SET announce = true
