-- The type $1 and its parts, each under the type that it is a part of ($1 under 0): the base type of a domain, the
-- elements of an array, the columns of a composite type in their order, the bounds of a range, the ranges of a
-- multirange. An array is of the kind a, all others have the kind of the catalog.
WITH RECURSIVE made AS (
    SELECT 0::pg_catalog.oid AS whole, 0 AS place, $1::pg_catalog.oid AS type
     UNION
    SELECT m.type, part.place, part.type
      FROM made m
      JOIN pg_catalog.pg_type t ON t.oid = m.type
     CROSS JOIN LATERAL (
           SELECT 0 AS place, t.typbasetype AS type WHERE t.typtype = 'd'
            UNION ALL
           SELECT 0, t.typelem WHERE t.typtype <> 'd' AND t.typcategory = 'A'
            UNION ALL
           SELECT a.attnum::pg_catalog.int4, a.atttypid
             FROM pg_catalog.pg_attribute a
            WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL
           SELECT 0, r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
            UNION ALL
           SELECT 0, r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngmultitypid = t.oid) AS part
)
SELECT m.whole, m.type, CASE WHEN t.typtype <> 'd' AND t.typcategory = 'A' THEN 'a' ELSE t.typtype::pg_catalog.text END
  FROM made m
  JOIN pg_catalog.pg_type t ON t.oid = m.type
 ORDER BY m.whole, m.place
