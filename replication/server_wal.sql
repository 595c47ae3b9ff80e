-- How long and how much WAL an unread slot keeps. idle_replication_slot_timeout exists from PostgreSQL 18 on; it is
-- shown with its unit, and as 0 where it is off.
SELECT pg_catalog.current_setting('max_slot_wal_keep_size'),
       coalesce(pg_catalog.current_setting('idle_replication_slot_timeout', true), '0')
