-- Which of these messages ($1), whose row is not in the ledger under the identity that it was accepted with, are about
-- a row that has another identity by now: one with its key ($2), accepted by its commit ($3) or before the first start.
-- It reads the ledger from end to end.
SELECT t.id
  FROM unnest($1::bigint[], $2::text[], $3::text[]) AS t (id, source_key, commit_lsn)
  JOIN attendee_relay.ledger l ON l.source_key = t.source_key
 WHERE coalesce(l.commit_lsn = t.commit_lsn::pg_lsn, true)
