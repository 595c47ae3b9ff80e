-- The rights a query seems to need, found in its text ($1), because a role without USAGE on a schema cannot have it
-- parsed. $2 is the role, quoted.
WITH mentioned AS MATERIALIZED (
    SELECT n.oid AS schema, n.nspname, c.oid, c.relname
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND replace($1, '"', '') ~* ('\m' || regexp_replace(n.nspname || '.' || c.relname, '(\W)', '\\\1', 'g') || '\M')
)
SELECT DISTINCT format('GRANT USAGE ON SCHEMA %I TO %s', nspname, $2::text)
  FROM mentioned
 WHERE NOT pg_catalog.has_schema_privilege(schema, 'USAGE')
UNION ALL
SELECT format('GRANT SELECT ON %I.%I TO %s', nspname, relname, $2::text)
  FROM mentioned
 WHERE NOT pg_catalog.has_table_privilege(oid, 'SELECT')
UNION ALL
SELECT format('ALTER ROLE %s BYPASSRLS', $2::text)
 WHERE EXISTS (SELECT FROM mentioned WHERE pg_catalog.row_security_active(oid))
