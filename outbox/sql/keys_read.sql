-- The keys of rows by their identities, both in the database's own encoding; the placeholders stand for the table
-- and its expressions.
SELECT pg_catalog.convert_to(%[2]s, pg_catalog.getdatabaseencoding()),
       pg_catalog.convert_to(%[3]s, pg_catalog.getdatabaseencoding())
  FROM %[1]s
 WHERE %[2]s = ANY (ARRAY(SELECT pg_catalog.convert_from(asked.identity, pg_catalog.getdatabaseencoding())
                            FROM pg_catalog.unnest($1::bytea[]) AS asked (identity)))
