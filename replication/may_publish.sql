-- Whether the role may make a publication of the table $1.
SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE')
       AND pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
  FROM pg_catalog.pg_class c
 WHERE c.oid = $1::pg_catalog.oid
