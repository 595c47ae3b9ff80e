-- These leased messages are not sent; whoever has a place for them may take them. It does not wait for rows that
-- somebody else holds: they are not among those returned, and neither are rows that changed a moment ago. A probe among
-- them is due again soon. Each is looked up on its own and reached by its place, as in settle_delivered.sql.
WITH held AS MATERIALIZED (
    SELECT p.place, p.endpoint
      FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS t (id, endpoint, lease)
     CROSS JOIN LATERAL (
           SELECT p.ctid AS place, p.endpoint
             FROM attendee_relay.pending p
            WHERE (p.endpoint, p.id) BETWEEN (t.endpoint, t.id) AND (t.endpoint, t.id) AND p.lease = t.lease
            ORDER BY p.endpoint, p.id LIMIT 1
              FOR UPDATE SKIP LOCKED) p
), probes AS (
    UPDATE attendee_relay.endpoint e
       SET probe_at = least(e.probe_at, now() + interval '1 second')
     WHERE e.id = ANY (ARRAY(SELECT paused.id
                               FROM attendee_relay.endpoint paused
                              WHERE paused.state = 'paused' AND paused.id = ANY (ARRAY(SELECT endpoint FROM held))
                              ORDER BY paused.id
                                FOR UPDATE))
)
UPDATE attendee_relay.pending p
   SET lease = NULL, lease_ends = NULL
  FROM held h
 WHERE p.ctid = h.place
RETURNING p.id
