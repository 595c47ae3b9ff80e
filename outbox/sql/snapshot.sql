-- The snapshot of this transaction. Its other statements find their rows by an index, whatever the statistics say: a
-- plan is kept for as long as the session lasts, and one that was made while the tables were empty must not read all of
-- them later.
SELECT pg_catalog.pg_current_snapshot()::text,
       pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true),
       pg_catalog.set_config('enable_seqscan', 'off', true),
       pg_catalog.set_config('enable_bitmapscan', 'off', true)
