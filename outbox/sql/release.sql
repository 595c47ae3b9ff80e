-- These leased messages are not sent; whoever has a place for them may take them. What somebody else holds nobody waits for: it is not
-- among those returned. A probe among them is due again soon.
WITH held AS MATERIALIZED (
    SELECT p.endpoint, p.id
      FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS t (id, endpoint, lease)
     CROSS JOIN LATERAL (
           SELECT p.endpoint, p.id
             FROM attendee_relay.pending p
            WHERE p.endpoint = t.endpoint AND p.id = t.id AND p.lease = t.lease
              FOR UPDATE SKIP LOCKED) p
), probes AS (
    UPDATE attendee_relay.endpoint e
       SET probe_at = least(e.probe_at, now() + interval '1 second')
     WHERE e.state = 'paused' AND e.id = ANY (ARRAY(SELECT endpoint FROM held))
)
UPDATE attendee_relay.pending p
   SET lease = NULL, lease_ends = NULL
  FROM held h
 WHERE p.endpoint = h.endpoint AND p.id = h.id
RETURNING p.id
