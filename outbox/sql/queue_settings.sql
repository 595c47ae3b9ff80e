-- For the transaction under way only: its commit waits for no synchronous standby, and no statement of it outlives the
-- caller's patience (queueTimeout), also where the caller is gone and cannot cancel it. A plan is kept for as long as the
-- session lasts, for making one takes longer than running it; one that was made while the tables were empty must not read all of
-- them later. Compiling one (JIT) takes a hundred times as long as running it.
SELECT pg_catalog.set_config('synchronous_commit', 'local', true),
       pg_catalog.set_config('statement_timeout', '10s', true),
       pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
       pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('enable_seqscan', 'off', true),
       pg_catalog.set_config('enable_bitmapscan', 'off', true),
       pg_catalog.set_config('enable_mergejoin', 'off', true)
