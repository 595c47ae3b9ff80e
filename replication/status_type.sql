-- The type beneath the domains of type $1: that type and its name without a length, whether it is an array, and the
-- type of its elements beneath their domains (else its own).
WITH RECURSIVE beneath AS (
    SELECT t.oid, t.typtype, t.typbasetype, t.typelem, t.typcategory, 0 AS depth
      FROM pg_catalog.pg_type t
     WHERE t.oid = $1
     UNION ALL
    SELECT t.oid, t.typtype, t.typbasetype, t.typelem, t.typcategory, b.depth + 1
      FROM beneath b
      JOIN pg_catalog.pg_type t
        ON t.oid = CASE WHEN b.typtype = 'd' THEN b.typbasetype WHEN b.typcategory = 'A' THEN b.typelem END
), base AS (
    SELECT b.oid, b.typcategory
      FROM beneath b
     WHERE b.typtype <> 'd'
     ORDER BY b.depth
     LIMIT 1
)
SELECT pg_catalog.format_type(base.oid, -1),
       base.typcategory = 'A',
       (SELECT b.oid FROM beneath b ORDER BY b.depth DESC LIMIT 1)
  FROM base
