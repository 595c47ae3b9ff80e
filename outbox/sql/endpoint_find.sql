-- The state of endpoint $1, in the columns of endpoints_read.sql. There is no row when it has never failed or
-- answered and no message waits for it.
SELECT k.id, coalesce(e.webhook_url, m.webhook_url, ''), coalesce(e.state, 'active'), coalesce(e.proven, false),
       e.since, coalesce(e.failures, 0)::bigint, w.pending, e.last_error
  FROM (SELECT $1::uuid AS id) k
  LEFT JOIN attendee_relay.endpoint e ON e.id = k.id
 CROSS JOIN LATERAL (SELECT count(*) AS pending, min(p.id) AS oldest
                       FROM attendee_relay.pending p
                      WHERE p.endpoint = k.id) w
  LEFT JOIN attendee_relay.message m ON m.id = w.oldest
 WHERE e.id IS NOT NULL OR w.pending > 0
