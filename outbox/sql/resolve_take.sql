-- Turns these acceptances, each with the place of its row when it was evaluated, into messages in this transaction. It
-- leaves an acceptance whose row has moved since, because another row may have the key that was asked for; also if a
-- large transaction has moved it, which the acceptance has not followed yet. It leaves those behind an older one of
-- their key that continues to wait. Each is looked up on its own, whatever the statistics say.
WITH answered AS MATERIALIZED (
    SELECT id, row_identity COLLATE "C" AS row_identity, source_key COLLATE "C" AS source_key
      FROM unnest($1::bigint[], $2::text[], $3::text[]) AS t (id, row_identity, source_key)
     WHERE NOT EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step NOT IN ('add', 'clear'))
), unmoved AS MATERIALIZED (
    SELECT a.place
      FROM answered t
     CROSS JOIN LATERAL (SELECT a.ctid AS place, a.source_key
                           FROM attendee_relay.acceptance a
                          WHERE a.id = t.id AND a.state = 'waiting' AND a.row_identity = t.row_identity
                            -- one that was not in the stream has been read from the table
                            AND coalesce(a.source_key = t.source_key, true)
                          ORDER BY a.id LIMIT 1) a
     WHERE NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                        WHERE older.state = 'waiting' AND older.source_key = a.source_key AND older.id < t.id
                          AND (older.id, older.row_identity, older.source_key) NOT IN (TABLE answered)
                       OFFSET 0)
)
DELETE FROM attendee_relay.acceptance a
 USING unmoved u
 WHERE a.ctid = u.place
RETURNING a.id
