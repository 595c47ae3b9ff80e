-- Accepted rows that the ledger lacks, and whether the operator's condition holds for them; the placeholders stand
-- for the table's expressions and for that condition. $2: the ledger counts as empty. A row that the next baseline
-- takes for a registration that moved is not missing, nor is one that a large transaction, half applied, is about to
-- enter. Identities and keys are in the database's encoding.
WITH accepted AS MATERIALIZED (
    SELECT (%[2]s) COLLATE "C" AS identity,
           (%[3]s) COLLATE "C" AS source_key,
           coalesce((
%[5]s
           ), false) AS chosen
      FROM %[1]s
     WHERE %[4]s
), came AS (
    SELECT *
      FROM accepted a
     WHERE $2 OR NOT EXISTS (SELECT FROM attendee_relay.ledger l WHERE l.identity = a.identity)
             AND NOT EXISTS (SELECT FROM attendee_relay.spool s
                              WHERE s.identity = a.identity
                                AND EXISTS (SELECT FROM attendee_relay.checkpoint c WHERE c.spool_step IS NOT NULL))
), departed AS (
    SELECT l.source_key
      FROM attendee_relay.ledger l
     WHERE NOT $2 AND NOT EXISTS (SELECT FROM %[1]s WHERE (%[2]s) COLLATE "C" = l.identity)
), moved AS (
    SELECT c.identity
      FROM (SELECT *, row_number() OVER (PARTITION BY source_key ORDER BY identity) AS nth FROM came) c
      JOIN (SELECT source_key, count(*) AS n FROM departed GROUP BY source_key) d
        ON d.source_key = c.source_key AND c.nth <= d.n
)
SELECT pg_catalog.convert_to(c.identity, pg_catalog.getdatabaseencoding()),
       pg_catalog.convert_to(c.source_key, pg_catalog.getdatabaseencoding()),
       c.chosen
  FROM came c
 WHERE NOT EXISTS (SELECT FROM moved m WHERE m.identity = c.identity)
 ORDER BY length(c.identity), c.identity
