-- Keys that are in the database's own encoding, as UTF-8, and whether they come back from there unchanged: in some
-- encodings two characters are one in Unicode.
SELECT asked.utf8,
       pg_catalog.convert(asked.utf8, 'UTF8', asked.own) = asked.key
  FROM (SELECT t.key, t.place, e.own, pg_catalog.convert(t.key, e.own, 'UTF8') AS utf8
          FROM pg_catalog.unnest($1::bytea[]) WITH ORDINALITY AS t (key, place)
         CROSS JOIN (SELECT pg_catalog.getdatabaseencoding() AS own) e) asked
 ORDER BY asked.place
