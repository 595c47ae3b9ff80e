-- Takes the oldest message of each paused endpoint whose probe is due, under a fresh lease; $1 endpoints at most, and
-- of all relays only one takes it. One that has no row of the payload query is left out until that is asked again, with
-- those of its attendee that come after it; where that leaves none, the endpoint is looked at again in 5 seconds, so
-- that it takes nobody's turn. One that could not be sent as it stands, which says nothing of the endpoint, comes after
-- all others until it is due. Where the one chosen is in flight still, the probe waits a little. The deployment and the
-- WAL are looked at as in a claim. As many are taken as have $6 bytes together, or one, however long its body is.
-- Endpoints that have recovered for $5 are active again.
WITH recovered AS (
    -- Of an endpoint that is well nobody writes anything any more.
    UPDATE attendee_relay.endpoint
       SET state = 'active', since = now(), probe_wait = NULL
     WHERE id = ANY (ARRAY(SELECT e.id FROM attendee_relay.endpoint e
                            WHERE e.state = 'recovering' AND e.since <= now() - $5::text::interval
                            ORDER BY e.since LIMIT 100 FOR UPDATE SKIP LOCKED))
), due AS MATERIALIZED (
    SELECT e.id, e.probe_at
      FROM attendee_relay.endpoint e
     WHERE e.state = 'paused' AND e.probe_at <= now()
       AND EXISTS (SELECT FROM attendee_relay.pending p WHERE p.endpoint = e.id)
       AND EXISTS (SELECT FROM attendee_relay.own_books WHERE deployment = $4)
     ORDER BY e.probe_at
     LIMIT $1::int
       FOR UPDATE SKIP LOCKED
), sized AS MATERIALIZED (
    SELECT d.id AS endpoint, d.probe_at, o.place, (o.lease_ends <= now()) IS NOT FALSE AS free,
           coalesce(m.size, 0) AS size
      FROM due d
     CROSS JOIN LATERAL (
           (SELECT p.ctid AS place, p.lease_ends, p.id
              FROM attendee_relay.pending p
             WHERE p.endpoint = d.id AND (p.due_at <= now()
                   OR p.unanswered = 0 AND (p.last_error LIKE 'refused: %') IS NOT TRUE)
               AND (SELECT older.id FROM attendee_relay.pending older
                     WHERE older.lane = p.lane AND older.id < p.id AND older.endpoint = p.endpoint
                     ORDER BY older.lane, older.id LIMIT 1) IS NULL
             ORDER BY p.endpoint, p.id LIMIT 1)
           UNION ALL
           (SELECT p.ctid, p.lease_ends, p.id
              FROM attendee_relay.pending p
             WHERE p.endpoint = d.id AND (p.unanswered = 0 OR p.due_at <= now())
               AND (SELECT older.id FROM attendee_relay.pending older
                     WHERE older.lane = p.lane AND older.id < p.id AND older.endpoint = p.endpoint
                     ORDER BY older.lane, older.id LIMIT 1) IS NULL
             ORDER BY p.endpoint, p.id LIMIT 1)
           LIMIT 1) o
     CROSS JOIN LATERAL (SELECT octet_length(m.payload) AS size
                           FROM attendee_relay.message m
                          WHERE m.id = o.id
                          ORDER BY m.id LIMIT 1) m
), oldest AS MATERIALIZED (
    SELECT s.endpoint, s.place, s.free
      FROM (SELECT s.*, sum(s.size) OVER (ORDER BY s.probe_at, s.endpoint) AS total FROM sized s) s
     WHERE s.total <= $6::int OR s.total = s.size
), put_off AS (
    UPDATE attendee_relay.endpoint e
       SET probe_at = now() + CASE WHEN o.free THEN $2::text::interval ELSE interval '1 second' END
      FROM oldest o
     WHERE e.id = o.endpoint
), left_out AS (
    UPDATE attendee_relay.endpoint e
       SET probe_at = now() + interval '5 seconds'
      FROM due d
     WHERE e.id = d.id AND NOT EXISTS (SELECT FROM sized s WHERE s.endpoint = d.id)
), locked AS MATERIALIZED (
    SELECT p.ctid AS place
      FROM attendee_relay.pending p
     WHERE p.ctid = ANY (ARRAY(SELECT place FROM oldest WHERE free)) AND (p.lease_ends <= now()) IS NOT FALSE
       FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE attendee_relay.pending p
       SET lease = $3::uuid, lease_ends = now() + $2::text::interval
     WHERE p.ctid = ANY (ARRAY(SELECT place FROM locked))
    RETURNING p.id, p.endpoint, p.lane, p.attempts, p.step, p.retry
)
SELECT l.id, m.message_id, l.endpoint, m.webhook_url,
       coalesce(m.secret, ''), m.had_secret OR m.secret IS NOT NULL, coalesce(m.headers, ''),
       coalesce(m.payload, ''), l.attempts, l.step, m.committed_at, l.retry, true, -1::float8, 1,
       EXISTS (SELECT FROM attendee_relay.pending older WHERE older.lane = l.lane AND older.id < l.id),
       extract(epoch FROM now() - m.created_at)::float8
  FROM leased l
 CROSS JOIN LATERAL (SELECT m.message_id, m.webhook_url, m.secret, m.had_secret, m.headers,
                            m.payload, m.committed_at, m.created_at
                       FROM attendee_relay.message m
                      WHERE m.id = l.id
                      ORDER BY m.id LIMIT 1) m
