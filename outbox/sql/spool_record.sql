-- Rows of the spool that the transaction left accepted enter the ledger, and those that it accepted become waiting
-- acceptances, evaluated when $5 has passed since the commit. The rows $3 continue deleted ones, which commits $4 accepted.
WITH accepted AS MATERIALIZED (
    SELECT s.number,
           s.identity,
           CASE s.key_kind WHEN 2 THEN s.source_key WHEN 0 THEN s.ledger_key END AS source_key,
           s.was_accepted OR c.number IS NOT NULL AS before,
           coalesce(c.commit_lsn::pg_lsn, s.ledger_lsn) AS before_lsn
      FROM attendee_relay.spool s
      LEFT JOIN unnest($3::bigint[], $4::text[]) AS c (number, commit_lsn) ON c.number = s.number
     WHERE s.number > $1 AND s.number <= $2 AND NOT s.gone AND (s.status = 2 OR s.status = 0 AND s.was_accepted)
), entered AS (
    INSERT INTO attendee_relay.ledger (identity, source_key, commit_lsn)
    SELECT a.identity, a.source_key, CASE WHEN a.before THEN a.before_lsn ELSE p.spool_lsn END
      FROM accepted a, attendee_relay.checkpoint p
        ON CONFLICT (identity) DO UPDATE SET source_key = excluded.source_key, commit_lsn = excluded.commit_lsn
)
INSERT INTO attendee_relay.acceptance (identity, row_identity, source_key, commit_lsn, committed_at, next_evaluation_at)
SELECT a.identity, a.identity, a.source_key, p.spool_lsn, p.spool_time, coalesce(p.spool_time, now()) + $5::text::interval
  FROM accepted a, attendee_relay.checkpoint p
 WHERE NOT a.before
 ORDER BY a.number
