-- What is in the outbox, by state, how long the oldest pending message has been due for its first attempt, and the endpoints by
-- state.
WITH RECURSIVE waiting AS (
    (SELECT endpoint FROM attendee_relay.pending ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint FROM attendee_relay.pending p WHERE p.endpoint > w.endpoint ORDER BY p.endpoint LIMIT 1)
      FROM waiting w
     WHERE w.endpoint IS NOT NULL
)
SELECT (SELECT count(*) FROM attendee_relay.pending),
       (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (SELECT state, count(*) AS n FROM attendee_relay.settled GROUP BY state) s),
       (SELECT coalesce(extract(epoch FROM now() - min(m.created_at)), 0)::float8
          FROM attendee_relay.message m
         WHERE m.id = (SELECT min((SELECT p.id FROM attendee_relay.pending p WHERE p.endpoint = w.endpoint ORDER BY p.id LIMIT 1)) FROM waiting w)),
       (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (SELECT CASE WHEN state IN ('paused', 'disabled') THEN state
                             WHEN failures > 0 THEN 'failing'
                             WHEN proven THEN 'healthy'
                             ELSE 'unknown' END AS state,
                        count(*) AS n
                   FROM attendee_relay.endpoint
                  GROUP BY 1) e)
