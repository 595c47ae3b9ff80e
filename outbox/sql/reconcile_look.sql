-- Rows that are accepted in the table or in the ledger only, a bounded number of them; the placeholders stand for the
-- table's expressions.
SELECT coalesce(l.identity, a.identity), a.identity IS NOT NULL, a.source_key
  FROM attendee_relay.ledger l
  FULL JOIN (SELECT (%[2]s) COLLATE "C" AS identity, (%[3]s) COLLATE "C" AS source_key FROM %[1]s WHERE %[4]s) a USING (identity)
 WHERE l.identity IS NULL OR a.identity IS NULL
 LIMIT $2
