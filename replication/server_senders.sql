-- How many walsenders are in use, of how many. Rows of pg_stat_replication are counted, not read: most of their columns
-- are hidden from a role without pg_read_all_stats.
SELECT pg_catalog.count(*), pg_catalog.current_setting('max_wal_senders')::pg_catalog.int8
  FROM pg_catalog.pg_stat_replication
