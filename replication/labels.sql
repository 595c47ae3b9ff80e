-- The labels of the enums $1, as the database keeps them, and their oids.
SELECT e.enumtypid, pg_catalog.convert_to(e.enumlabel::text, pg_catalog.getdatabaseencoding()), e.oid
  FROM pg_catalog.pg_enum e
 WHERE e.enumtypid = ANY ($1::pg_catalog.oid[])
