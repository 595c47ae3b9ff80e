-- A session of this deployment's relays: $1 begins their application_name.
SELECT a.application_name, a.pid
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
   AND pg_catalog.starts_with(a.application_name, $1)
 LIMIT 1
