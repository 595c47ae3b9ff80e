-- The endpoints that messages wait for, and those that fail, are paused, disabled or coming back; those with the most
-- pending messages first, at most $1; NULL: all.
WITH busy AS (
    SELECT endpoint, min(id) AS oldest, count(*) AS pending
      FROM attendee_relay.pending
     GROUP BY endpoint
), listed AS (
    SELECT coalesce(b.endpoint, e.id) AS endpoint, b.oldest, coalesce(b.pending, 0) AS pending
      FROM busy b
      FULL JOIN (SELECT id FROM attendee_relay.endpoint WHERE state <> 'active' OR failures > 0) e ON e.id = b.endpoint
     ORDER BY pending DESC, b.oldest, 1
     LIMIT $1::bigint
)
SELECT l.endpoint, coalesce(e.webhook_url, m.webhook_url, ''), coalesce(e.state, 'active'), coalesce(e.proven, false),
       e.since, coalesce(e.failures, 0)::bigint, l.pending, e.last_error
  FROM listed l
  LEFT JOIN attendee_relay.endpoint e ON e.id = l.endpoint
  LEFT JOIN attendee_relay.message m ON m.id = l.oldest
 ORDER BY l.pending DESC, l.oldest, l.endpoint
