-- For the transaction under way only: each step is a loop over an index. A plan is kept for as long as the session
-- lasts; one that was made while the tables were empty must not read all of them later.
-- Making one for each statement takes longer than running it.
SELECT pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
       pg_catalog.set_config('enable_seqscan', 'off', true),
       pg_catalog.set_config('enable_bitmapscan', 'off', true),
       pg_catalog.set_config('enable_mergejoin', 'off', true)
