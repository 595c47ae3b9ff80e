-- The walsender's own wal_sender_timeout, in milliseconds. pg_settings would say it as well, but hardened servers hide
-- that.
SELECT (EXTRACT(epoch FROM pg_catalog.current_setting('wal_sender_timeout')::pg_catalog.interval) * 1000
       )::pg_catalog.int8
