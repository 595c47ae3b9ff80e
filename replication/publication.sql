-- The properties of a publication ($1) for one table ($2), and anything in it that would break the application. Tables
-- are reached by their oid alone: a role may look those up in every schema, also where it has no USAGE, and no plan can
-- change that.
--
-- The columns prqual and prattrs exist from PostgreSQL 15 on. Without an entry in pg_publication_rel the table is
-- published by FOR ALL TABLES, by its schema (15 on), or with the table that it is a partition of. unidentified: in the
-- publication, UPDATE and DELETE on this table fail. inherited: a table that inherits from the watched one, which FOR
-- TABLE without ONLY takes along.
SELECT p.oid,
       p.puballtables,
       p.pubviaroot,
       p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate,
       EXISTS (SELECT FROM pg_catalog.pg_get_publication_tables(p.pubname::pg_catalog.text) t
                WHERE t.relid = $2::pg_catalog.oid),
       pg_catalog.to_jsonb(r) ->> 'prqual' IS NOT NULL,
       pg_catalog.to_jsonb(r) ->> 'prattrs' IS NOT NULL,
       coalesce(r.oid, 0),
       pg_catalog.concat(p.xmin::pg_catalog.text, ':', r.xmin::pg_catalog.text),
       coalesce((SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
                   FROM pg_catalog.pg_get_publication_tables(p.pubname::pg_catalog.text) t
                   JOIN pg_catalog.pg_class c ON c.oid = t.relid
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relreplident = 'n'
                     OR c.relreplident = 'd'
                        AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                                         WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid
                                           AND i.indimmediate)
                  ORDER BY c.oid
                  LIMIT 1), ''),
       coalesce((WITH RECURSIVE heir AS (
                     SELECT h.inhrelid FROM pg_catalog.pg_inherits h WHERE h.inhparent = $2::pg_catalog.oid
                      UNION
                     SELECT h.inhrelid FROM pg_catalog.pg_inherits h JOIN heir ON h.inhparent = heir.inhrelid)
                 SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
                   FROM heir
                   JOIN pg_catalog.pg_class c ON c.oid = heir.inhrelid AND NOT c.relispartition
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE EXISTS (SELECT FROM pg_catalog.pg_get_publication_tables(p.pubname::pg_catalog.text) t
                                 WHERE t.relid = c.oid)
                  ORDER BY c.oid
                  LIMIT 1), '')
  FROM pg_catalog.pg_publication p
  LEFT JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = $2::pg_catalog.oid
 WHERE p.pubname = $1
