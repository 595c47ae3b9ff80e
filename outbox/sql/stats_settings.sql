-- For the transaction under way only: counting reads whole tables, and takes as long as its caller waits.
SELECT pg_catalog.set_config('enable_seqscan', 'on', true),
       pg_catalog.set_config('enable_bitmapscan', 'on', true),
       pg_catalog.set_config('statement_timeout', $1, true)
