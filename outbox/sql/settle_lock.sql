-- Locks the rows that settle.sql changes, in one order, so that two settlers cannot block each other. It precedes
-- settle.sql in the same transaction.
SELECT count(*)
  FROM (SELECT t.id, t.lease, t.state, m.endpoint
          FROM unnest($1::bigint[], $2::uuid[], $3::text[]) AS t (id, lease, state)
         CROSS JOIN LATERAL (SELECT m.endpoint FROM attendee_relay.message m WHERE m.id = t.id ORDER BY m.id LIMIT 1) m
         ORDER BY t.id
        OFFSET 0) o
 CROSS JOIN LATERAL (
       SELECT p.id
         FROM attendee_relay.pending p
        WHERE (p.endpoint, p.id) BETWEEN (o.endpoint, o.id) AND (o.endpoint, o.id)
          AND (o.state = 'delivered' OR p.lease = o.lease)
        ORDER BY p.endpoint, p.id LIMIT 1
          FOR UPDATE) p
