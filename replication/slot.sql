-- A slot as the catalog sees it, and the name of the session that holds it, where the role may see it.
-- invalidation_reason exists from PostgreSQL 17 on.
SELECT s.slot_type::pg_catalog.text,
       coalesce(s.plugin::pg_catalog.text, ''),
       coalesce(s.database::pg_catalog.text, ''),
       s.temporary,
       s.active,
       coalesce(s.active_pid, 0),
       coalesce((SELECT a.application_name FROM pg_catalog.pg_stat_activity a WHERE a.pid = s.active_pid), ''),
       coalesce(s.wal_status, ''),
       coalesce(pg_catalog.to_jsonb(s) ->> 'invalidation_reason', ''),
       coalesce(s.confirmed_flush_lsn, '0/0')::pg_catalog.text,
       pg_catalog.current_database()::pg_catalog.text
  FROM pg_catalog.pg_replication_slots s
 WHERE s.slot_name = $1
