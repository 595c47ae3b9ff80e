-- The next rows of the spool, in the order in which the transaction first touched them.
SELECT number, identity, gone, origin, key_kind, source_key, status, seq, was_accepted, ledger_key, ledger_lsn::text
  FROM attendee_relay.spool
 WHERE number > $1
 ORDER BY number
 LIMIT $2
