-- The tables that inherit from a table ($1), its partitions aside, as a list; empty: there are none.
WITH RECURSIVE heir AS (
    SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = $1::pg_catalog.oid
     UNION
    SELECT h.inhrelid FROM pg_catalog.pg_inherits h JOIN heir ON h.inhparent = heir.inhrelid
)
SELECT coalesce(pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), ', '
                                      ORDER BY n.nspname, c.relname), '')
  FROM heir
  JOIN pg_catalog.pg_class c ON c.oid = heir.inhrelid AND NOT c.relispartition
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
