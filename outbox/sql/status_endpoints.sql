-- The endpoints with the most pending messages, at most $1, and how many of theirs have failed before.
SELECT coalesce(m.webhook_url, ''), busy.failures, busy.pending
  FROM (SELECT min(id) AS oldest, count(*) AS pending, count(*) FILTER (WHERE attempts > 0) AS failures
          FROM attendee_relay.pending
         GROUP BY endpoint
         ORDER BY pending DESC, oldest
         LIMIT $1) AS busy
  JOIN attendee_relay.message m ON m.id = busy.oldest
 ORDER BY busy.pending DESC, busy.oldest
