-- Whether the server can give a logical stream at all.
SELECT pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('wal_level'),
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4
