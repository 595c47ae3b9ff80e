-- Which of these rows are accepted.
SELECT identity, source_key, commit_lsn::text, accepted_as
  FROM attendee_relay.ledger
 WHERE identity = ANY ($1::text[])
