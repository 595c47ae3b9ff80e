-- The state of the bookkeeping, counted. settled grows with every message, and has no index on its state: the caller
-- bounds this by a statement_timeout and falls back on the estimate.
WITH RECURSIVE waiting AS (
    (SELECT endpoint FROM attendee_relay.pending ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint FROM attendee_relay.pending p WHERE p.endpoint > w.endpoint ORDER BY p.endpoint LIMIT 1)
      FROM waiting w
     WHERE w.endpoint IS NOT NULL
)
SELECT (SELECT lsn::text FROM attendee_relay.checkpoint),
       (SELECT count(*) FROM attendee_relay.acceptance WHERE state = 'waiting'),
       (SELECT count(*) FROM attendee_relay.acceptance WHERE state = 'waiting' AND last_error IS NOT NULL),
       (SELECT count(*) FROM attendee_relay.acceptance WHERE state = 'empty'),
       (SELECT count(*) FROM attendee_relay.pending),
       coalesce(sum(n) FILTER (WHERE state = 'delivered'), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE state = 'dead'), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE state = 'skipped'), 0)::bigint,
       coalesce((SELECT extract(epoch FROM now() - m.created_at)
                   FROM attendee_relay.message m
                  WHERE m.id = (SELECT min((SELECT p.id FROM attendee_relay.pending p
                                              WHERE p.endpoint = w.endpoint ORDER BY p.id LIMIT 1))
                                  FROM waiting w)), 0)::float8,
       coalesce((SELECT extract(epoch FROM now() - min(a.created_at)) FROM attendee_relay.acceptance a
                  WHERE a.state = 'waiting'), 0)::float8
  FROM (SELECT state, count(*) AS n FROM attendee_relay.settled GROUP BY state) AS settled
