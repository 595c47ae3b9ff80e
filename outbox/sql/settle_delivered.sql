-- Records attempts that were answered with a 2xx, and settles their messages where they were sent to: whatever is still pending, under
-- whichever lease. Returns those that were found there; another process may have settled one, or moved it to another endpoint.
-- What is pending has not ended, and its attempts are counted, so nothing is there yet of what is written: looking for it first, as
-- ON CONFLICT does, would cost a fifth of the statement. Were it there after all, it fails, and settle.sql takes its place.
WITH told AS (
    SELECT *
      FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[], $4::int[], $5::int[], $6::text[])
           AS t (id, endpoint, started_at, duration_ms, status, response)
), ended AS (
    DELETE FROM attendee_relay.pending p
     USING told t
     WHERE p.endpoint = t.endpoint AND p.id = t.id
    RETURNING p.id, p.endpoint, p.lane, p.attempts + 1 AS number, t.started_at, t.duration_ms, t.status, t.response
), let_go AS (
    -- The next of the same attendee, which a retry of this one may have put off.
    UPDATE attendee_relay.pending p
       SET due_at = now()
      FROM ended e
     CROSS JOIN LATERAL (SELECT n.id
                           FROM attendee_relay.pending n
                          WHERE n.lane = e.lane AND n.id > e.id AND n.endpoint = e.endpoint
                          ORDER BY n.lane, n.id LIMIT 1) next
     WHERE p.endpoint = e.endpoint AND p.id = next.id AND NOT p.retry AND p.due_at > now()
       AND p.id <> ALL (ARRAY(SELECT id FROM ended))
), noted AS (
    INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status)
    SELECT id, 'delivered', now(), number, status
      FROM ended
), logged AS (
    INSERT INTO attendee_relay.exchange (message, number, started_at, duration_ms, status, response)
    SELECT id, number, started_at, duration_ms, status, response
      FROM ended
)
SELECT id FROM ended
