-- Whether reading all of a relation ($1 schema, $2 name) matters: it is the watched table ($3) or a part of it, or has more rows
-- than $4. With the columns among $5 that no index begins with.
SELECT format('%I.%I', tn.nspname, t.relname),
       t.oid = $3 OR c.reltuples > $4,
       t.oid = $3,
       t.relkind = 'p',
       coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum)
                   FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY ($5::text[])
                    AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND i.indkey[0] = a.attnum)), '{}')
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2
