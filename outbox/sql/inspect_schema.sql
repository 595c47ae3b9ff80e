-- The relay's own schema as the role sees it: whether it exists, whether the role may work in it, and the objects in it
-- that other roles own.
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'attendee_relay'),
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       coalesce((SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') AND pg_catalog.has_schema_privilege(oid, 'CREATE')
                   FROM pg_catalog.pg_namespace WHERE nspname = 'attendee_relay'), false),
       coalesce((SELECT string_agg(format('ALTER %s attendee_relay.%I OWNER TO %s',
                                          CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
                                          c.relname, $1::text), '; ' ORDER BY c.relname)
                   FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'attendee_relay' AND c.relkind IN ('r', 'p', 'v')
                    AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')), ''),
       EXISTS (SELECT FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'attendee_relay' AND c.relname = 'schema_version')
