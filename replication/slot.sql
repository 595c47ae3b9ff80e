-- A slot as the catalog sees it, and the name of the session that holds it, where the role may see it.
-- invalidation_reason exists from PostgreSQL 17 on.
SELECT slot_type::text,
       coalesce(plugin::text, ''),
       coalesce(database::text, ''),
       temporary,
       active,
       coalesce(active_pid, 0),
       coalesce((SELECT a.application_name FROM pg_catalog.pg_stat_activity a WHERE a.pid = s.active_pid), ''),
       coalesce(wal_status, ''),
       coalesce(to_jsonb(s) ->> 'invalidation_reason', ''),
       coalesce(confirmed_flush_lsn, '0/0')::text,
       pg_catalog.current_database()::text
  FROM pg_catalog.pg_replication_slots s
 WHERE slot_name = $1
