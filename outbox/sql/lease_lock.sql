-- Locks the rows that redirect.sql and give_way.sql change, in one order, so that two of them cannot block each other.
-- It precedes them in the same transaction.
SELECT count(*)
  FROM (SELECT t.id, t.lease, m.endpoint
          FROM unnest($1::bigint[], $2::uuid[]) AS t (id, lease)
         CROSS JOIN LATERAL (SELECT m.endpoint FROM attendee_relay.message m WHERE m.id = t.id ORDER BY m.id LIMIT 1) m
         ORDER BY t.id
        OFFSET 0) o
 CROSS JOIN LATERAL (
       SELECT p.id
         FROM attendee_relay.pending p
        WHERE (p.endpoint, p.id) BETWEEN (o.endpoint, o.id) AND (o.endpoint, o.id)
          AND CASE WHEN o.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = o.lease END
        ORDER BY p.endpoint, p.id LIMIT 1
          FOR UPDATE) p
