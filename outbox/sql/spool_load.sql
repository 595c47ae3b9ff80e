-- The spooled rows that have, had at the start, or were deleted under one of these identities.
SELECT number, identity, gone, origin, key_kind, source_key, status, seq, was_accepted, ledger_key, ledger_lsn::text,
  ledger_as
  FROM attendee_relay.spool
 WHERE number IN (SELECT number FROM attendee_relay.spool WHERE identity = ANY ($1::text[])
                   UNION
                  SELECT number FROM attendee_relay.spool WHERE origin = ANY ($1::text[]) AND origin <> identity)
 ORDER BY number
