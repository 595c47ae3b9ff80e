-- Rows of a stretch of the spool that the transaction left accepted enter the ledger, and those that it accepted become
-- waiting acceptances, evaluated when $3 has passed since this.
WITH accepted AS MATERIALIZED (
    SELECT number,
           identity,
           CASE key_kind WHEN 2 THEN source_key WHEN 0 THEN ledger_key END AS source_key,
           was_accepted,
           ledger_lsn,
           CASE WHEN was_accepted THEN nullif(coalesce(ledger_as, origin), identity) END AS accepted_as
      FROM attendee_relay.spool
     WHERE number > $1 AND number <= $2 AND NOT gone AND (status = 2 OR status = 0 AND was_accepted)
), entered AS (
    INSERT INTO attendee_relay.ledger (identity, source_key, commit_lsn, accepted_as)
    SELECT a.identity, a.source_key, CASE WHEN a.was_accepted THEN a.ledger_lsn ELSE p.spool_lsn END, a.accepted_as
      FROM accepted a, attendee_relay.checkpoint p
        ON CONFLICT (identity) DO UPDATE
              SET source_key = excluded.source_key, commit_lsn = excluded.commit_lsn, accepted_as = excluded.accepted_as
)
INSERT INTO attendee_relay.acceptance (identity, row_identity, source_key, commit_lsn, committed_at, stamped_at,
                                       next_evaluation_at)
SELECT a.identity, a.identity, a.source_key, p.spool_lsn, p.spool_time, p.spool_stamp, now() + $3::text::interval
  FROM accepted a, attendee_relay.checkpoint p
 WHERE NOT a.was_accepted
 ORDER BY a.number
