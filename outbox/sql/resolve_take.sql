-- These acceptances, with the revisions that they were evaluated in, become messages in this transaction. Those are left whose row has
-- changed meanwhile: it may be elsewhere, and another row under the key that was asked for. So are those behind an older one of their key
-- that goes on waiting. Each is looked up on its own, whatever the statistics say.
WITH answered AS MATERIALIZED (
    SELECT id, revision
      FROM unnest($1::bigint[], $2::int[]) AS t (id, revision)
), current AS MATERIALIZED (
    SELECT a.place
      FROM answered t
     CROSS JOIN LATERAL (SELECT a.ctid AS place, a.source_key
                           FROM attendee_relay.acceptance a
                          WHERE a.id = t.id AND a.state = 'waiting' AND a.revision = t.revision
                          ORDER BY a.id LIMIT 1) a
     WHERE NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                        WHERE older.state = 'waiting' AND older.source_key = a.source_key AND older.id < t.id
                          AND (older.id, older.revision) NOT IN (SELECT id, revision FROM answered)
                       OFFSET 0)
)
DELETE FROM attendee_relay.acceptance a
 USING current c
 WHERE a.ctid = c.place
RETURNING a.id
