-- How many replication slots are in use, of how many, and whether the slot $1 is among them.
SELECT pg_catalog.count(*),
       pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8,
       coalesce(pg_catalog.bool_or(s.slot_name = $1), false)
  FROM pg_catalog.pg_replication_slots s
