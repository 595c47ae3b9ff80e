-- Claims of several processes that are made at the same moment would choose the same messages, and all but one would
-- get few: here they take turns, until the transaction ends. Nobody waits longer than $2 for one that is stuck.
SELECT pg_catalog.set_config('lock_timeout', $2, true), pg_catalog.pg_advisory_xact_lock($1)
