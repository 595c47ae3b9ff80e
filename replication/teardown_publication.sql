-- A publication, whether the role owns it, and what it holds other than the watched table ($2 schema, $3 table) and its
-- partitions: then it is somebody else's too.
SELECT pg_catalog.pg_has_role(p.pubowner, 'USAGE'),
       p.puballtables,
       coalesce((SELECT pg_catalog.string_agg(pg_catalog.format('%I.%I', t.schemaname, t.tablename), ', '
                                              ORDER BY t.schemaname, t.tablename)
                   FROM pg_catalog.pg_publication_tables t
                   JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname
                   JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
                  WHERE t.pubname = p.pubname
                    AND NOT EXISTS (SELECT
                                      FROM pg_catalog.pg_class w
                                      JOIN pg_catalog.pg_namespace wn ON wn.oid = w.relnamespace
                                     WHERE wn.nspname = $2 AND w.relname = $3
                                       AND w.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid))), '')
  FROM pg_catalog.pg_publication p
 WHERE p.pubname = $1
