-- Records attempts and what becomes of their messages. A 2xx settles whatever is still pending; any other outcome counts
-- only under the lease it was made with. Rows are locked in one order, so that two settlers cannot block each other.
WITH told AS (
    SELECT DISTINCT ON (t.id) t.*
      FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::int[], $7::int[], $8::text[], $9::text[])
           AS t (id, lease, state, wait, started_at, duration_ms, status, error, response)
      LEFT JOIN attendee_relay.pending p USING (id)
     ORDER BY t.id, t.state = 'delivered' DESC, p.lease = t.lease DESC NULLS LAST
), held AS (
    SELECT t.*, p.attempts + 1 AS number
      FROM attendee_relay.pending p
      JOIN told t USING (id)
     WHERE t.state = 'delivered' OR p.lease = t.lease
     ORDER BY p.id
       FOR UPDATE OF p
), kept AS (
    UPDATE attendee_relay.pending p
       SET attempts = h.number, next_attempt_at = now() + h.wait::interval, lease = NULL,
           last_status = h.status, last_error = h.error
      FROM held h
     WHERE p.id = h.id AND h.state = 'pending'
), ended AS (
    DELETE FROM attendee_relay.pending p
     USING held h
     WHERE p.id = h.id AND h.state <> 'pending'
), noted AS (
    INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status, last_error)
    SELECT id, state, now(), number, status, error
      FROM held
     WHERE state <> 'pending'
), logged AS (
    INSERT INTO attendee_relay.exchange (message, number, started_at, duration_ms, status, error, response)
    SELECT id, number, started_at, duration_ms, status, error, response
      FROM held
)
SELECT count(*) FROM held
