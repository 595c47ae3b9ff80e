-- Rows that are accepted in the table or in the ledger only, a bounded number of them; the placeholders stand for the
-- table's expressions. $2: among these only. Ledger rows accepted from $4 on are left alone: how they left may yet be in the
-- stream.
SELECT coalesce(l.identity, a.identity), a.identity IS NOT NULL, a.source_key
  FROM attendee_relay.ledger l
  FULL JOIN (SELECT %[2]s AS identity, %[3]s AS source_key FROM %[1]s WHERE %[4]s) a USING (identity)
 WHERE (l.identity IS NULL OR a.identity IS NULL)
   AND ($2::text[] IS NULL OR coalesce(l.identity, a.identity) = ANY ($2::text[]))
   AND ($4::text IS NULL OR l.commit_lsn IS NULL OR l.commit_lsn < $4::text::pg_lsn)
 LIMIT $3
