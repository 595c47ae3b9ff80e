-- Erases everything personal or secret in the next $2 messages that are older than $1: bodies, secrets, headers and
-- receivers' answers. A pending message ends with it; one in flight is waited for. Only one process does this at a
-- time, and only if something is old enough, because a lock is written to the WAL.
WITH place AS MATERIALIZED (
    SELECT r.erased
      FROM attendee_relay.retention r
     WHERE (SELECT m.created_at FROM attendee_relay.message m WHERE m.id > r.erased ORDER BY m.id LIMIT 1)
           < now() - $1::text::interval
     LIMIT 1
       FOR UPDATE SKIP LOCKED
), old AS MATERIALIZED (
    SELECT m.id, m.endpoint, m.created_at < now() - $1::text::interval AS over
      FROM place
     CROSS JOIN LATERAL (SELECT m.id, m.endpoint, m.created_at
                           FROM attendee_relay.message m
                          WHERE m.id > place.erased
                          ORDER BY m.id
                          LIMIT $2::int) m
), waiting AS MATERIALIZED (
    -- Locked, so that nobody claims or moves one meanwhile; one that somebody has locked is waited for like one in
    -- flight.
    SELECT o.id, p.id IS NOT NULL AS free
      FROM old o
     CROSS JOIN LATERAL (SELECT p.id FROM attendee_relay.pending p
                          WHERE p.endpoint = o.endpoint AND p.id = o.id LIMIT 1) there
      LEFT JOIN LATERAL (SELECT p.id FROM attendee_relay.pending p
                          WHERE p.endpoint = o.endpoint AND p.id = o.id AND (p.lease_ends <= now()) IS NOT FALSE
                            FOR UPDATE SKIP LOCKED) p ON true
     WHERE o.over
), next AS MATERIALIZED (
    SELECT o.id, o.endpoint, o.over AND NOT EXISTS (SELECT FROM waiting w WHERE w.id = o.id AND NOT w.free) AS over
      FROM old o
), batch AS MATERIALIZED (
    SELECT n.id, n.endpoint
      FROM next n
     WHERE n.id < coalesce((SELECT min(id) FROM next WHERE NOT over), 9223372036854775807)
), expired AS (
    DELETE FROM attendee_relay.pending p
     USING batch b
     WHERE p.endpoint = b.endpoint AND p.id = b.id AND b.id = ANY (ARRAY(SELECT id FROM waiting))
    RETURNING p.id, p.attempts, p.last_status
), noted AS (
    INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status, last_error)
    SELECT id, 'dead', now(), attempts, last_status, 'expired: it was not delivered within OUTBOX_PAYLOAD_RETENTION'
      FROM expired
    ON CONFLICT (id) DO NOTHING
), erased AS (
    UPDATE attendee_relay.message m
       SET payload = NULL, secret = NULL, headers = NULL
     WHERE m.id = ANY (ARRAY(SELECT id FROM batch))
       AND (m.payload IS NOT NULL OR m.secret IS NOT NULL OR m.headers IS NOT NULL)
), forgotten AS (
    UPDATE attendee_relay.exchange e
       SET response = NULL
     WHERE e.message = ANY (ARRAY(SELECT id FROM batch)) AND e.response IS NOT NULL
), moved AS (
    UPDATE attendee_relay.retention
       SET erased = (SELECT max(id) FROM batch)
     WHERE EXISTS (SELECT FROM batch)
)
SELECT (SELECT count(*) FROM batch),
       ARRAY(SELECT m.message_id FROM attendee_relay.message m
              WHERE m.id = ANY (ARRAY(SELECT id FROM expired)) ORDER BY m.id)
