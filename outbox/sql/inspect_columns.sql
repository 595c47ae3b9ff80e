-- The columns $3 of a relation ($1 schema, $2 name), each compared as the type $4 ('': as it is): its type, whether
-- an index serves that comparison if there is one (a cast that changes nothing of the value does no harm), and
-- whether an index begins with the column.
SELECT a.attname::text,
       pg_catalog.format_type(a.atttypid, NULL),
       x.target = '' OR pg_catalog.to_regtype(x.target) IN (a.atttypid, base.oid)
         OR EXISTS (SELECT FROM pg_catalog.pg_cast k
                     WHERE k.castsource = base.oid AND k.casttarget = pg_catalog.to_regtype(x.target)
                       AND k.castmethod = 'b'),
       EXISTS (SELECT FROM pg_catalog.pg_index i
                WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 CROSS JOIN LATERAL (SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END AS oid) AS base
 CROSS JOIN LATERAL (SELECT DISTINCT u.name, u.target FROM unnest($3::text[], $4::text[]) AS u (name, target)) AS x
 WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = x.name AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum, x.target
