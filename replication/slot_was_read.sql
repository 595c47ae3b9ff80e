-- Whether changes were ever decoded through the slot. Postgres counts transactions from the slot's creation on (14 and
-- later); the count starts over after a crash of the server.
SELECT s.total_txns > 0
  FROM pg_catalog.pg_stat_replication_slots s
 WHERE s.slot_name = $1
