-- Accepted rows with one of these keys that the transaction deleted and no inserted row has continued yet.
SELECT number, identity, gone, origin, key_kind, source_key, status, seq, was_accepted, ledger_key, ledger_lsn::text,
  ledger_as
  FROM attendee_relay.spool
 WHERE gone AND was_accepted AND CASE key_kind WHEN 2 THEN source_key WHEN 0 THEN ledger_key END = ANY ($1::text[])
 ORDER BY number
