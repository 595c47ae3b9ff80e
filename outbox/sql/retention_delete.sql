-- Deletes the next $2 messages that are older than $1, with everything known about them. Their bodies are erased
-- already. If there are none it locks nothing, because a lock is written to the WAL.
WITH place AS MATERIALIZED (
    SELECT r.deleted, r.erased
      FROM attendee_relay.retention r
     WHERE (SELECT m.created_at FROM attendee_relay.message m
             WHERE m.id > r.deleted AND m.id <= r.erased ORDER BY m.id LIMIT 1)
           < now() - $1::text::interval
     LIMIT 1
       FOR UPDATE SKIP LOCKED
), next AS MATERIALIZED (
    SELECT m.id, m.created_at < now() - $1::text::interval AS over
      FROM place
     CROSS JOIN LATERAL (SELECT m.id, m.created_at
                           FROM attendee_relay.message m
                          WHERE m.id > place.deleted AND m.id <= place.erased
                          ORDER BY m.id
                          LIMIT $2::int) m
), batch AS MATERIALIZED (
    SELECT n.id
      FROM next n
     WHERE n.id < coalesce((SELECT min(id) FROM next WHERE NOT over), 9223372036854775807)
), exchanges AS (
    DELETE FROM attendee_relay.exchange WHERE message = ANY (ARRAY(SELECT id FROM batch))
), settled AS (
    DELETE FROM attendee_relay.settled WHERE id = ANY (ARRAY(SELECT id FROM batch))
), messages AS (
    DELETE FROM attendee_relay.message WHERE id = ANY (ARRAY(SELECT id FROM batch))
), moved AS (
    UPDATE attendee_relay.retention
       SET deleted = (SELECT max(id) FROM batch)
     WHERE EXISTS (SELECT FROM batch)
)
SELECT (SELECT count(*) FROM batch), ARRAY[]::text[]
