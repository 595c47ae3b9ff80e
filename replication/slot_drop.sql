-- Drops the slot $1, if it is a logical slot of pgoutput in this database.
SELECT pg_catalog.pg_drop_replication_slot(s.slot_name)
  FROM pg_catalog.pg_replication_slots s
 WHERE s.slot_name = $1 AND s.plugin = 'pgoutput' AND s.database = pg_catalog.current_database()
