-- These claimed messages are not sent yet: an older one of the same attendee goes to their endpoint first.
-- lease_lock.sql has locked their rows. Each is looked up on its own and reached by its place, as in
-- settle_delivered.sql.
WITH held AS MATERIALIZED (
    SELECT p.place, t.lease
      FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS t (id, endpoint, lease)
     CROSS JOIN LATERAL (
           SELECT p.ctid AS place
             FROM attendee_relay.pending p
            WHERE (p.endpoint, p.id) BETWEEN (t.endpoint, t.id) AND (t.endpoint, t.id) AND p.lease = t.lease
            ORDER BY p.endpoint, p.id LIMIT 1) p
)
UPDATE attendee_relay.pending p
   SET lease = NULL, lease_ends = NULL, due_at = now() + interval '1 second'
  FROM held h
 WHERE p.ctid = h.place AND p.lease = h.lease
