-- Rows inserted and accepted under the SOURCE_KEY of a row that was accepted and is deleted: each may be its
-- continuation.
SELECT number, identity, gone, origin, key_kind, source_key, status, seq, was_accepted, ledger_key, ledger_lsn::text,
  ledger_as
  FROM attendee_relay.spool s
 WHERE number > $1 AND number <= $2 AND NOT gone AND origin IS NULL AND status = 2 AND key_kind = 2
   AND EXISTS (SELECT FROM attendee_relay.spool d
                WHERE d.gone AND d.was_accepted
                  AND CASE d.key_kind WHEN 2 THEN d.source_key WHEN 0 THEN d.ledger_key END = s.source_key)
 ORDER BY number
