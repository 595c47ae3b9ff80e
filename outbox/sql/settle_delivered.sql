-- Records attempts that were answered with a 2xx, and settles their messages where they were sent to: whatever is still
-- pending, under whichever lease. Returns those that were found there; another process may have settled one, or moved
-- it to another endpoint. What is pending has not ended, and its attempts are counted, so nothing is there yet of what
-- is written: looking for it first, as ON CONFLICT does, would cost a fifth of the statement. Were it there after all,
-- it fails, and settle.sql takes its place.
--
-- Each row is looked up on its own (LIMIT), by the primary key whatever the statistics say (two equalities would fit
-- pending_due as well), and reached by its place. Joined plainly, pending would be read from end to end for each
-- of the batch, where its statistics come from a moment when it was empty: Postgres then takes it for one row (seen
-- with PostgreSQL 15).
WITH told AS (
    SELECT *
      FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[], $4::int[], $5::int[], $6::text[])
           AS t (id, endpoint, started_at, duration_ms, status, response)
), found AS MATERIALIZED (
    SELECT t.*, p.place
      FROM told t
     CROSS JOIN LATERAL (SELECT p.ctid AS place
                           FROM attendee_relay.pending p
                          WHERE (p.endpoint, p.id) BETWEEN (t.endpoint, t.id) AND (t.endpoint, t.id)
                          ORDER BY p.endpoint, p.id LIMIT 1) p
), ended AS (
    DELETE FROM attendee_relay.pending p
     USING found f
     WHERE p.ctid = f.place
    RETURNING p.id, p.endpoint, p.lane, p.attempts + 1 AS number, f.started_at, f.duration_ms, f.status, f.response
), next AS MATERIALIZED (
    SELECT n.place
      FROM ended e
     CROSS JOIN LATERAL (SELECT n.ctid AS place, n.id, n.retry, n.due_at
                           FROM attendee_relay.pending n
                          WHERE n.lane = e.lane AND n.id > e.id AND n.endpoint = e.endpoint
                          ORDER BY n.lane, n.id LIMIT 1) n
     WHERE NOT n.retry AND n.due_at > now() AND n.id <> ALL (ARRAY(SELECT id FROM ended))
), let_go AS (
    -- The next of the same attendee, which a retry of this one may have put off.
    UPDATE attendee_relay.pending p
       SET due_at = now()
      FROM next n
     WHERE p.ctid = n.place AND NOT p.retry AND p.due_at > now()
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
