-- The state of the bookkeeping by the planner's statistics, for when counting takes too long. A count that they cannot
-- give, because the table was never analysed with rows in it, is NULL.
WITH RECURSIVE waiting AS (
    (SELECT endpoint FROM attendee_relay.pending ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint FROM attendee_relay.pending p WHERE p.endpoint > w.endpoint ORDER BY p.endpoint LIMIT 1)
      FROM waiting w
     WHERE w.endpoint IS NOT NULL
), share AS (
    SELECT s.tablename, v.state, f.frequency * greatest(c.reltuples, 0) AS rows
      FROM pg_catalog.pg_stats s
      JOIN pg_catalog.pg_class c ON c.oid = format('%I.%I', s.schemaname, s.tablename)::regclass
     CROSS JOIN LATERAL unnest(s.most_common_vals::text::text[]) WITH ORDINALITY AS v (state, place)
     CROSS JOIN LATERAL unnest(s.most_common_freqs) WITH ORDINALITY AS f (frequency, place)
     WHERE s.schemaname = 'attendee_relay' AND s.tablename IN ('settled', 'acceptance') AND s.attname = 'state'
       AND v.place = f.place
), known AS MATERIALIZED (
    SELECT tablename FROM share WHERE rows > 0
)
SELECT (SELECT lsn::text FROM attendee_relay.checkpoint),
       CASE WHEN 'acceptance' IN (TABLE known)
            THEN coalesce((SELECT rows FROM share WHERE tablename = 'acceptance' AND state = 'waiting'), 0)::bigint END,
       (SELECT count(*) FROM (SELECT FROM attendee_relay.acceptance
                               WHERE state = 'waiting' AND last_error IS NOT NULL LIMIT 100000) failing),
       CASE WHEN 'acceptance' IN (TABLE known)
            THEN coalesce((SELECT rows FROM share WHERE tablename = 'acceptance' AND state = 'empty'), 0)::bigint END,
       (SELECT CASE WHEN reltuples >= 0 THEN reltuples::bigint END FROM pg_catalog.pg_class
         WHERE oid = 'attendee_relay.pending'::regclass),
       CASE WHEN 'settled' IN (TABLE known)
            THEN coalesce((SELECT rows FROM share WHERE tablename = 'settled' AND state = 'delivered'), 0)::bigint END,
       CASE WHEN 'settled' IN (TABLE known)
            THEN coalesce((SELECT rows FROM share WHERE tablename = 'settled' AND state = 'dead'), 0)::bigint END,
       CASE WHEN 'settled' IN (TABLE known)
            THEN coalesce((SELECT rows FROM share WHERE tablename = 'settled' AND state = 'skipped'), 0)::bigint END,
       coalesce((SELECT extract(epoch FROM now() - m.created_at)
                   FROM attendee_relay.message m
                  WHERE m.id = (SELECT min((SELECT p.id FROM attendee_relay.pending p
                                              WHERE p.endpoint = w.endpoint ORDER BY p.id LIMIT 1))
                                  FROM waiting w)), 0)::float8,
       coalesce((SELECT extract(epoch FROM now() - a.created_at) -- of the one that is due first
                   FROM attendee_relay.acceptance a
                  WHERE a.state = 'waiting'
                  ORDER BY a.next_evaluation_at
                  LIMIT 1), 0)::float8
