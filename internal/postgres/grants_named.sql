-- What in pg_catalog and in our schema has one of these names ($1): its schema, its name, and a function's arguments.
-- It calls no function, and casts only what the server casts without one: it is for a role that lacks just those.
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
