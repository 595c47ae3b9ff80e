-- The rows $1 continue the deleted rows $2: from here on each is the deleted one, moved.
UPDATE attendee_relay.spool s
   SET origin = d.origin, was_accepted = true, ledger_key = d.ledger_key, ledger_lsn = d.ledger_lsn,
     ledger_as = d.ledger_as
  FROM unnest($1::bigint[], $2::bigint[]) AS t (number, departed),
       attendee_relay.spool d
 WHERE s.number = t.number AND d.number = t.departed
