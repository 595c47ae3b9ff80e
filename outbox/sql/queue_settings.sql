-- For the transaction under way ($1), or for the session: its commit waits for no synchronous standby, and no statement
-- of it outlives the caller's patience (queueTimeout), also where the caller is gone and cannot cancel it. A plan is
-- kept for as long as the session lasts, for making one takes longer than running it; one that was made while the
-- tables were empty must not read all of them later. Compiling one (JIT) takes a hundred times as long as running it.
SELECT pg_catalog.set_config('synchronous_commit', 'local', $1),
       pg_catalog.set_config('statement_timeout', '10s', $1),
       pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', $1),
       pg_catalog.set_config('jit', 'off', $1),
       pg_catalog.set_config('enable_seqscan', 'off', $1),
       pg_catalog.set_config('enable_bitmapscan', 'off', $1),
       pg_catalog.set_config('enable_mergejoin', 'off', $1)
