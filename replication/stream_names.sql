-- Names as the database keeps them, in its own encoding.
SELECT pg_catalog.convert_to(named.name, pg_catalog.getdatabaseencoding())
  FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS named (name, place)
 ORDER BY named.place
