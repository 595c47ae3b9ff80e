-- An accepted value ($1) as the status column's type writes it, as text and in the database's encoding, and whether it
-- is the same value there: an explicit cast shortens silently to a type's length, so it is compared with the type
-- without one, by the type's own rules. The placeholders stand for the type and the comparison.
SELECT pg_catalog.format('%%s', $1::text::%[1]s),
       pg_catalog.convert_to(pg_catalog.format('%%s', $1::text::%[1]s), pg_catalog.getdatabaseencoding()),
       %[2]s
