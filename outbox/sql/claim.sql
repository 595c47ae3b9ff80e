-- Takes due messages under a fresh lease: the longest due first, of an endpoint no more than it has room for ($3 less what
-- is in flight already), and of a lane only the oldest, so that one attendee's messages to one endpoint keep their order.
WITH busy AS (
    SELECT endpoint, held FROM unnest($4::uuid[], $5::int[]) AS b (endpoint, held)
), candidate AS (
    SELECT p.id, p.endpoint, p.next_attempt_at
      FROM attendee_relay.pending p
     WHERE p.next_attempt_at <= now()
       AND p.endpoint <> ALL (ARRAY(SELECT endpoint FROM busy WHERE held >= $3::int))
       AND NOT EXISTS (SELECT FROM attendee_relay.pending older WHERE older.lane = p.lane AND older.id < p.id)
     ORDER BY p.next_attempt_at, p.id
     LIMIT 4 * $1::int
), ranked AS (
    SELECT c.id, coalesce(b.held, 0) + row_number() OVER (PARTITION BY c.endpoint ORDER BY c.next_attempt_at, c.id) AS place
      FROM candidate c
      LEFT JOIN busy b USING (endpoint)
), taken AS (
    SELECT p.id
      FROM attendee_relay.pending p
      JOIN ranked r USING (id)
     WHERE r.place <= $3::int AND p.next_attempt_at <= now()
     ORDER BY p.next_attempt_at, p.id
     LIMIT $1::int
       FOR UPDATE OF p SKIP LOCKED
)
UPDATE attendee_relay.pending p
   SET lease = $6::uuid, next_attempt_at = now() + $2::text::interval
  FROM taken t
  JOIN attendee_relay.message m USING (id)
 WHERE p.id = t.id
RETURNING p.id, m.message_id, p.endpoint, m.webhook_url, coalesce(m.secret, ''), coalesce(m.payload, ''), p.attempts, m.committed_at
