-- Objects of others that depend on the relay's schema and would be dropped with it: views, and tables by their foreign
-- keys.
SELECT DISTINCT format('%I.%I', n.nspname, o.relname)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace ours ON ours.oid = c.relnamespace AND ours.nspname = 'attendee_relay'
  JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
  LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
  LEFT JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
  JOIN pg_catalog.pg_class o ON o.oid = coalesce(r.ev_class, k.conrelid)
  JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
 WHERE n.oid <> ours.oid
 ORDER BY 1
