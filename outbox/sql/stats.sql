-- The contents of the outbox, of which no more than $1 rows of a kind are counted; for how long the oldest pending
-- message has waited, of the first $2 endpoints; the endpoints by state; and how many pages the two large tables have,
-- with how many rows a page by the planner's statistics, if there are any.
WITH RECURSIVE waiting AS (
    (SELECT endpoint FROM attendee_relay.pending ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint FROM attendee_relay.pending p WHERE p.endpoint > w.endpoint ORDER BY p.endpoint LIMIT 1)
      FROM waiting w
     WHERE w.endpoint IS NOT NULL
)
SELECT (SELECT count(*) FROM (SELECT FROM attendee_relay.pending LIMIT $1) found)::float8,
       (SELECT count(*) FROM (SELECT FROM attendee_relay.settled WHERE state = 'dead' LIMIT $1) found)::float8,
       (SELECT count(*) FROM (SELECT FROM attendee_relay.settled WHERE state = 'skipped' LIMIT $1) found)::float8,
       (SELECT count(*) FROM (SELECT FROM attendee_relay.settled LIMIT $1) found)::float8,
       coalesce((SELECT extract(epoch FROM pg_catalog.now() - m.created_at)
                   FROM attendee_relay.message m
                  WHERE m.id = (SELECT min((SELECT p.id FROM attendee_relay.pending p
                                              WHERE p.endpoint = w.endpoint ORDER BY p.id LIMIT 1))
                                  FROM (SELECT endpoint FROM waiting LIMIT $2) w)), 0)::float8,
       (SELECT coalesce(pg_catalog.jsonb_object_agg(state, n), '{}')
          FROM (SELECT state, count(*) AS n
                  FROM (SELECT CASE WHEN e.state IN ('paused', 'disabled') THEN e.state
                                    WHEN e.failures > 0 THEN 'failing'
                                    WHEN e.proven THEN 'healthy'
                                    ELSE 'unknown' END AS state
                          FROM attendee_relay.endpoint e LIMIT $1) found
                 GROUP BY state) e),
       p.pages, p.density, s.pages, s.density
  FROM (SELECT (pg_catalog.pg_relation_size(oid) / pg_catalog.current_setting('block_size')::bigint)::float8 AS pages,
               CASE WHEN reltuples >= 0 AND relpages > 0 THEN reltuples / relpages END::float8 AS density
          FROM pg_catalog.pg_class
         WHERE oid = 'attendee_relay.pending'::regclass) AS p,
       (SELECT (pg_catalog.pg_relation_size(oid) / pg_catalog.current_setting('block_size')::bigint)::float8 AS pages,
               CASE WHEN reltuples >= 0 AND relpages > 0 THEN reltuples / relpages END::float8 AS density
          FROM pg_catalog.pg_class
         WHERE oid = 'attendee_relay.settled'::regclass) AS s
