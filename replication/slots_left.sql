-- How many replication slots there may be, and whether all are in use.
SELECT pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8,
       pg_catalog.count(*) >= pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8
  FROM pg_catalog.pg_replication_slots
