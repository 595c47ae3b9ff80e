-- How many connections are in use, how many of them are this deployment's ($1 begins their application_name), how many
-- there are for roles that are not superusers, and the role's own limit. Walsenders do not count. reserved_connections
-- exists from PostgreSQL 16 on. Columns of others' sessions are hidden from a role without pg_read_all_stats:
-- backend_type is NULL then.
WITH clients AS (
    SELECT a.pid, a.application_name
      FROM pg_catalog.pg_stat_activity a
     WHERE a.datid IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication r WHERE r.pid = a.pid)
)
SELECT (SELECT pg_catalog.count(*) FROM clients),
       (SELECT pg_catalog.count(*) FROM clients c
         WHERE c.pid = pg_catalog.pg_backend_pid() OR pg_catalog.starts_with(c.application_name, $1)),
       pg_catalog.current_setting('max_connections')::pg_catalog.int8
         - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8
         - coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int8,
       (SELECT r.rolconnlimit::pg_catalog.int8 FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
