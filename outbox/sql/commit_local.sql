-- For the transaction under way only: its commit waits for no synchronous standby, and no statement of it outlives the
-- caller's patience (queueTimeout), also where the caller is gone and cannot cancel it.
SELECT pg_catalog.set_config('synchronous_commit', 'local', true),
       pg_catalog.set_config('statement_timeout', '10s', true)
