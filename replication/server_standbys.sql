-- The standbys that commits or the stream wait for: the setting, whether a synchronous one is connected, whether the
-- role may see that, and the slots of synchronized_standby_slots (PostgreSQL 17 on) that no standby reads.
SELECT pg_catalog.current_setting('synchronous_standby_names'),
       EXISTS (SELECT FROM pg_catalog.pg_stat_replication r WHERE r.sync_state IN ('sync', 'quorum')),
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
       coalesce((SELECT pg_catalog.string_agg(wanted.name, ', ')
                   FROM pg_catalog.unnest(pg_catalog.string_to_array(pg_catalog.replace(
                            pg_catalog.current_setting('synchronized_standby_slots', true), ' ', ''), ','))
                        AS wanted (name)
                   LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = wanted.name
                  WHERE wanted.name <> '' AND s.active IS NOT TRUE), '')
