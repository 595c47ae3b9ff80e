-- The labels of the enum $1, as the database keeps them, and their oids.
SELECT pg_catalog.convert_to(e.enumlabel::text, pg_catalog.getdatabaseencoding()), e.oid
  FROM pg_catalog.pg_enum e
 WHERE e.enumtypid = $1
