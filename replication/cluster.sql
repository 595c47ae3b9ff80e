-- Which database of which cluster this is, and where its WAL ends.
SELECT (SELECT c.system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system() c),
       pg_catalog.current_database()::pg_catalog.text,
       pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text
