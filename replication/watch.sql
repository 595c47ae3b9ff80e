-- The files that hold the table's rows: they change when a partition is truncated, attached or detached (and when a
-- table is rewritten, which changes no row). None of that is in the stream.
SELECT coalesce(pg_catalog.string_agg(leaf.oid || ':' || leaf.relfilenode, ' ' ORDER BY leaf.oid), ''),
       coalesce((SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::bigint
                   FROM pg_catalog.pg_replication_slots s
                  WHERE s.slot_name = $2), 0)
  FROM pg_catalog.pg_partition_tree($1::oid) t
  JOIN pg_catalog.pg_class leaf ON leaf.oid = t.relid
 WHERE t.isleaf
