-- Who other than the owner may create something in these schemas ($1), in which the operator's query looks names up: a
-- role in quotes, or PUBLIC. Superusers may do anything anyway, and the relay's role does not harm itself.
SELECT DISTINCT pg_catalog.quote_ident(n.nspname),
       CASE WHEN given.grantee OPERATOR(pg_catalog.=) 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END
  FROM pg_catalog.pg_namespace n
 CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) given
  LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) given.grantee
 WHERE n.nspname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.name[])
   AND given.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
   AND given.grantee OPERATOR(pg_catalog.<>) n.nspowner
   AND r.rolname IS DISTINCT FROM SESSION_USER
   AND NOT COALESCE(r.rolsuper, false)
 ORDER BY 1, 2
