-- An accepted value ($1) as the status column's type writes it, as text and in the database's encoding, and whether the
-- type kept it unchanged: an explicit cast shortens silently to a type's length, so the result is compared with that of
-- the type without a length, by the type's own rules. The placeholders stand for the type and the comparison.
SELECT pg_catalog.format('%%s', $1::text::%[1]s),
       pg_catalog.convert_to(pg_catalog.format('%%s', $1::text::%[1]s), pg_catalog.getdatabaseencoding()),
       %[2]s
