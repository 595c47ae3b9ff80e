-- Ends the session that reads the slot $1.
SELECT pg_catalog.pg_terminate_backend(s.active_pid)
  FROM pg_catalog.pg_replication_slots s
 WHERE s.slot_name = $1 AND s.database = pg_catalog.current_database() AND s.active
