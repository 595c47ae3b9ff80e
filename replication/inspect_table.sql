-- What makes the watched table unusable for a relay, and the statements that fix it. unidentified: Postgres would
-- refuse the application's UPDATE and DELETE in a publication (RelationGetIndexList, PostgreSQL 14-18: a deferrable key
-- does not count). Partitions are looked at one by one, since each has a REPLICA IDENTITY of its own. $1 schema, $2
-- table, $3 SOURCE_KEY, $4 SOURCE_STATUS: these and the identity are the only ones that capture reads.
SELECT c.oid,
       c.relkind::text,
       c.relpersistence::text,
       pg_catalog.current_setting('server_version_num')::int,
       c.relreplident = 'n'
         OR NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                         WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                           AND CASE c.relreplident WHEN 'i' THEN i.indisreplident ELSE i.indisprimary END)
         OR odd.statements IS NOT NULL,
       pg_catalog.concat_ws('; ',
           (SELECT pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I, ADD PRIMARY KEY (%s)',
                                     named.table, k.conname, (
                        SELECT pg_catalog.string_agg(pg_catalog.format('%I', a.attname), ', ' ORDER BY u.place)
                          FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (attnum, place)
                          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum))
              FROM pg_catalog.pg_constraint k
             WHERE k.conrelid = c.oid AND k.contype = 'p' AND k.condeferrable),
           (SELECT pg_catalog.format('ALTER TABLE %s ADD PRIMARY KEY (%I)', named.table, $3::text)
             WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')),
           (SELECT pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', named.table)
             WHERE c.relreplident = 'n'
                OR c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                                                         WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate
                                                           AND i.indisreplident)),
           odd.statements),
       pg_catalog.row_security_active(c.oid),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
       pg_catalog.has_table_privilege(c.oid, 'SELECT')
         OR NOT EXISTS (SELECT
                          FROM pg_catalog.pg_attribute a
                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                           AND (a.attname IN ($3, $4) OR EXISTS (SELECT FROM pg_catalog.pg_index i
                                                                  WHERE i.indrelid = c.oid
                                                                    AND (i.indisprimary OR i.indisreplident)
                                                                    AND a.attnum = ANY (i.indkey)))
                           AND NOT pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'))
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table) AS named
 CROSS JOIN LATERAL (
       SELECT pg_catalog.string_agg(pg_catalog.format('ALTER TABLE %I.%I REPLICA IDENTITY DEFAULT',
                                                      home.nspname, leaf.relname), '; '
                                    ORDER BY t.relid) AS statements
         FROM pg_catalog.pg_partition_tree(c.oid) t
         JOIN pg_catalog.pg_class leaf ON leaf.oid = t.relid
         JOIN pg_catalog.pg_namespace home ON home.oid = leaf.relnamespace
        WHERE t.isleaf AND c.relkind = 'p'
          AND leaf.relreplident NOT IN ('f', CASE c.relreplident WHEN 'i' THEN 'i' ELSE 'd' END)) AS odd
 WHERE n.nspname = $1 AND c.relname = $2
