-- Waiting acceptances of a stretch go where the rows now are that had their identity when the transaction began, and
-- are evaluated at once. None is in two stretches, so none follows twice. The stretch is read by id alone: of a table
-- that has just grown Postgres believes that little waits, and would read everything that does.
WITH stretch AS MATERIALIZED (
    SELECT id, row_identity, state
      FROM attendee_relay.acceptance
     WHERE id > $1 AND id <= $2
), moved AS MATERIALIZED (
    SELECT a.id, s.identity, s.source_key
      FROM stretch a
     CROSS JOIN LATERAL (
           SELECT identity, CASE key_kind WHEN 2 THEN source_key WHEN 0 THEN ledger_key END AS source_key
             FROM attendee_relay.spool
            WHERE identity = a.row_identity AND origin = identity
            UNION ALL
           SELECT identity, CASE key_kind WHEN 2 THEN source_key WHEN 0 THEN ledger_key END
             FROM attendee_relay.spool
            WHERE origin = a.row_identity AND origin <> identity
            LIMIT 1) AS s
     WHERE a.state = 'waiting'
)
UPDATE attendee_relay.acceptance a
   SET row_identity = m.identity,
       source_key = coalesce(m.source_key, a.source_key),
       next_evaluation_at = now(),
       revision = a.revision + 1
  FROM moved m
 WHERE a.id = m.id
