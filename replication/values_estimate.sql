-- How many rows of the table $1 have which value in the column $2, by the planner's statistics.
SELECT v.value, (v.frequency * greatest(c.reltuples, 0))::bigint
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.inherited = (c.relkind = 'p')
 CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(s.most_common_vals::text::text[]),
                               pg_catalog.unnest(s.most_common_freqs)) AS v (value, frequency)
 WHERE c.oid = $1 AND s.attname = $2
 ORDER BY 2 DESC, 1
