-- For the payload query in the transaction under way: how long it may take ($1), and whether its plan is made for these
-- keys or for any ($2). A batch has few keys beside what the tables hold: reading one of them whole is the last resort.
SELECT pg_catalog.set_config('statement_timeout', $1, true),
       pg_catalog.set_config('plan_cache_mode', $2, true),
       pg_catalog.set_config('enable_seqscan', 'off', true),
       pg_catalog.set_config('enable_bitmapscan', 'on', true)
