-- The columns of a table ($1) that are read: those with these numbers ($2) and those with these names ($3). Others may
-- have names that cannot be converted.
SELECT a.attnum,
       a.attname::text,
       a.atttypid,
       pg_catalog.format_type(a.atttypid, a.atttypmod),
       (SELECT n.nspname || '.' || t.typname
          FROM pg_catalog.pg_type t
          JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         WHERE t.oid = a.atttypid),
       a.attgenerated <> '',
       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
       a.attlen > 0
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
   AND (a.attnum = ANY ($2::int2[]) OR a.attname::text = ANY ($3::text[]))
 ORDER BY a.attnum
