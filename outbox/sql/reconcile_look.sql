-- Rows that are accepted in the table or in the ledger only, a bounded number of them; the placeholders stand for the
-- table's expressions. Identities and keys are in the database's encoding.
SELECT pg_catalog.convert_to(coalesce(l.identity, a.identity), pg_catalog.getdatabaseencoding()),
       a.identity IS NOT NULL, pg_catalog.convert_to(a.source_key, pg_catalog.getdatabaseencoding())
  FROM attendee_relay.ledger l
  FULL JOIN (SELECT (%[2]s) COLLATE "C" AS identity, (%[3]s) COLLATE "C" AS source_key
               FROM %[1]s
              WHERE %[4]s) a USING (identity)
 WHERE l.identity IS NULL OR a.identity IS NULL
 LIMIT $2
