-- What the server has left and how it is set, in one row. $1 is the slot, $2 begins the application_name of this deployment's
-- sessions. Rows of pg_stat_replication and pg_stat_activity are counted, not read: most of their columns are hidden from a
-- role without pg_read_all_stats, sync_state too. idle_replication_slot_timeout exists from PostgreSQL 18 on,
-- synchronized_standby_slots from 17 on, reserved_connections from 16 on. Walsenders do not count as connections.
WITH clients AS (
    SELECT pid, application_name
      FROM pg_catalog.pg_stat_activity
     WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
       AND pid NOT IN (SELECT pid FROM pg_catalog.pg_stat_replication)
)
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       pg_catalog.current_database()::text,
       pg_catalog.pg_current_wal_insert_lsn()::text,
       pg_catalog.current_setting('max_slot_wal_keep_size'),
       coalesce((SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'idle_replication_slot_timeout'), 0),
       coalesce(pg_catalog.current_setting('idle_replication_slot_timeout', true), ''),
       pg_catalog.current_setting('synchronous_standby_names'),
       EXISTS (SELECT FROM pg_catalog.pg_stat_replication WHERE sync_state IN ('sync', 'quorum')),
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
       coalesce((SELECT string_agg(wanted.name, ', ')
                   FROM unnest(string_to_array(replace(pg_catalog.current_setting('synchronized_standby_slots', true), ' ', ''), ',')) AS wanted (name)
                   LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = wanted.name
                  WHERE wanted.name <> '' AND s.active IS NOT TRUE), ''),
       coalesce((SELECT string_agg(format('ROLLBACK PREPARED %L', gid), '; ' ORDER BY prepared)
                   FROM (SELECT gid, prepared FROM pg_catalog.pg_prepared_xacts ORDER BY prepared LIMIT 10) AS oldest), ''),
       (SELECT count(*) FROM pg_catalog.pg_prepared_xacts),
       (SELECT count(*) FROM pg_catalog.pg_replication_slots),
       pg_catalog.current_setting('max_replication_slots')::bigint,
       (SELECT count(*) FROM pg_catalog.pg_stat_replication),
       pg_catalog.current_setting('max_wal_senders')::bigint,
       (SELECT count(*) FROM clients),
       (SELECT count(*) FROM clients WHERE pid = pg_catalog.pg_backend_pid() OR pg_catalog.starts_with(application_name, $2)),
       pg_catalog.current_setting('max_connections')::bigint
         - pg_catalog.current_setting('superuser_reserved_connections')::bigint
         - coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::bigint,
       (SELECT rolconnlimit::bigint FROM pg_catalog.pg_roles WHERE rolname = current_user),
       EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = $1),
       coalesce((SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = $1), false)
