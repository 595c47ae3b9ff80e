-- The objects of pg_catalog and of our schema with one of these names ($1): schema, name, and a function's arguments.
-- It calls no function, and uses only casts that need none, because the role may lack the right to call them.
SELECT n.nspname, p.proname, p.proargtypes::pg_catalog.regtype[]::pg_catalog.text[]
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname IN ('pg_catalog', 'attendee_relay') AND p.proname = ANY ($1::pg_catalog.name[]) AND p.prokind = 'f'
UNION ALL
SELECT n.nspname, c.relname, NULL
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('pg_catalog', 'attendee_relay') AND c.relname = ANY ($1::pg_catalog.name[])
   AND c.relkind IN ('r', 'p', 'v')
