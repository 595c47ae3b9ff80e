-- Ledger rows that are not accepted in the table, a bounded number of them; the placeholders stand for the table's
-- expressions. Rows accepted from $4 on, where the first look was taken, are left alone: the stream may have yet to tell
-- how they left.
SELECT l.identity
  FROM attendee_relay.ledger l
 WHERE ($2::text[] IS NULL OR l.identity = ANY ($2::text[]))
   AND (l.commit_lsn IS NULL OR l.commit_lsn < $4::text::pg_lsn)
   AND NOT EXISTS (SELECT FROM %[1]s AS watched WHERE %[2]s = l.identity AND %[3]s)
 LIMIT $3
