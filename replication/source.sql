-- The watched table, and the index that identifies its rows in the stream: the REPLICA IDENTITY index if one is set,
-- else the primary key. A deferrable one does not count: Postgres treats such a table as having no identity
-- (RelationGetIndexList, PostgreSQL 14-18). Columns that an index merely INCLUDEs identify nothing.
SELECT c.oid,
       c.relkind::text,
       c.relpersistence::text,
       c.relreplident::text,
       pg_catalog.current_setting('server_version_num')::int,
       coalesce((i.indkey::int2[])[0 : i.indnkeyatts - 1], '{}'),
       (SELECT pg_catalog.count(*)
          FROM pg_catalog.pg_partition_tree(c.oid) t
          JOIN pg_catalog.pg_class leaf ON leaf.oid = t.relid
         WHERE t.isleaf AND c.relkind = 'p'
           AND leaf.relreplident NOT IN ('f', CASE c.relreplident WHEN 'i' THEN 'i' ELSE 'd' END)),
       pg_catalog.row_security_active(c.oid),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i
         ON i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
        AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END
 WHERE n.nspname = $1 AND c.relname = $2
