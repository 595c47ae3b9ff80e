-- Makes the ledger what the table is in this snapshot; the placeholders stand for the table's expressions. A row that
-- is no longer there and one that came with the same SOURCE_KEY are one registration, moved. $2: rows that came are
-- announced, as acceptances at the slot's start ($3).
WITH accepted AS MATERIALIZED (
    SELECT (%[2]s) COLLATE "C" AS identity, (%[3]s) COLLATE "C" AS source_key
      FROM %[1]s
     WHERE %[4]s
), gone AS (
    DELETE FROM attendee_relay.ledger l
     WHERE NOT EXISTS (SELECT FROM accepted a WHERE a.identity = l.identity)
    RETURNING identity, source_key, commit_lsn, accepted_as
), came AS (
    SELECT a.identity, a.source_key
      FROM accepted a
     WHERE NOT EXISTS (SELECT FROM attendee_relay.ledger l WHERE l.identity = a.identity)
), departed AS (
    SELECT * FROM gone g WHERE NOT EXISTS (SELECT FROM %[1]s WHERE (%[2]s) COLLATE "C" = g.identity)
), moved AS (
    SELECT c.identity, c.source_key, g.identity AS origin, g.commit_lsn,
           coalesce(g.accepted_as, g.identity) AS accepted_as
      FROM (SELECT *, row_number() OVER (PARTITION BY source_key ORDER BY identity) AS nth FROM came) c
      JOIN (SELECT *, row_number() OVER (PARTITION BY source_key ORDER BY identity) AS nth FROM departed) g
           USING (source_key, nth)
), rekeyed AS (
    UPDATE attendee_relay.ledger l
       SET source_key = a.source_key
      FROM accepted a
     WHERE a.identity = l.identity AND a.source_key IS DISTINCT FROM l.source_key
    RETURNING l.identity, l.source_key
), readdressed AS (
    UPDATE attendee_relay.acceptance w
       SET source_key = r.source_key, next_evaluation_at = now(), revision = w.revision + 1
      FROM rekeyed r
     WHERE w.state = 'waiting' AND w.row_identity = r.identity
), followed AS (
    UPDATE attendee_relay.acceptance w
       SET row_identity = m.identity, source_key = m.source_key, next_evaluation_at = now(), revision = w.revision + 1
      FROM moved m
     WHERE w.state = 'waiting' AND w.row_identity = m.origin
), entered AS (
    INSERT INTO attendee_relay.ledger (identity, source_key, commit_lsn, accepted_as)
    SELECT c.identity, c.source_key,
           CASE WHEN m.identity IS NOT NULL THEN m.commit_lsn WHEN $2 THEN $3::text::pg_lsn END,
           nullif(m.accepted_as, c.identity)
      FROM came c
      LEFT JOIN moved m USING (identity)
), announced AS (
    INSERT INTO attendee_relay.acceptance (identity, row_identity, source_key, commit_lsn, next_evaluation_at)
    SELECT identity, identity, source_key, $3::text::pg_lsn, now()
      FROM came
     WHERE $2 AND NOT EXISTS (SELECT FROM moved m WHERE m.identity = came.identity)
     ORDER BY identity
)
SELECT (SELECT count(*) FROM came) - (SELECT count(*) FROM moved),
       (SELECT count(*) FROM gone) - (SELECT count(*) FROM moved)
