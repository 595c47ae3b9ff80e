-- For the transaction under way only: its commit waits for no synchronous standby.
SELECT pg_catalog.set_config('synchronous_commit', 'local', true)
