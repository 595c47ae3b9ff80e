-- The slot, if it exists, and how far it is behind. restart_lsn is NULL once the slot is lost. A standby may have a
-- copy of it.
SELECT s.active,
       s.wal_status,
       pg_catalog.pg_wal_lsn_diff(now.lsn, s.confirmed_flush_lsn)::bigint,
       pg_catalog.pg_wal_lsn_diff(now.lsn, s.restart_lsn)::bigint,
       coalesce((SELECT a.application_name FROM pg_catalog.pg_stat_activity a WHERE a.pid = s.active_pid), '')
  FROM pg_catalog.pg_replication_slots s
 CROSS JOIN LATERAL (SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                                 ELSE pg_catalog.pg_current_wal_lsn() END AS lsn) AS now
 WHERE s.slot_name = $1
