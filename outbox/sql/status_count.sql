-- How the bookkeeping stands, counted. settled grows with every message, and has no index on its state: the caller bounds this
-- by a statement_timeout and falls back on the estimate.
SELECT (SELECT lsn::text FROM attendee_relay.checkpoint),
       (SELECT count(*) FROM attendee_relay.acceptance WHERE state = 'waiting'),
       (SELECT count(*) FROM attendee_relay.acceptance WHERE state = 'empty'),
       (SELECT count(*) FROM attendee_relay.pending),
       coalesce(sum(n) FILTER (WHERE state = 'delivered'), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE state = 'dead'), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE state = 'skipped'), 0)::bigint,
       coalesce((SELECT extract(epoch FROM now() - m.created_at)
                   FROM attendee_relay.message m
                  WHERE m.id = (SELECT min(id) FROM attendee_relay.pending)), 0)::float8
  FROM (SELECT state, count(*) AS n FROM attendee_relay.settled GROUP BY state) AS settled
