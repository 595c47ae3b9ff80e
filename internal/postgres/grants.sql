-- The grants that the role ($2, quoted) lacks on what has one of these names ($1) in pg_catalog and in our schema.
SELECT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %s', n.nspname, $2::pg_catalog.text)
  FROM pg_catalog.pg_namespace n
 WHERE n.nspname IN ('pg_catalog', 'attendee_relay') AND n.nspname = ANY ($1::pg_catalog.text[])
   AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT pg_catalog.format('GRANT SELECT ON %I.%I TO %s', n.nspname, c.relname, $2::pg_catalog.text)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('pg_catalog', 'attendee_relay') AND c.relname = ANY ($1::pg_catalog.text[])
   AND c.relkind IN ('r', 'p', 'v')
   AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT')
UNION ALL
SELECT pg_catalog.format('GRANT EXECUTE ON FUNCTION %I.%I(%s) TO %s', n.nspname, p.proname,
                         pg_catalog.pg_get_function_identity_arguments(p.oid), $2::pg_catalog.text)
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname IN ('pg_catalog', 'attendee_relay') AND p.proname = ANY ($1::pg_catalog.text[]) AND p.prokind = 'f'
   AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
