-- Rows that the transaction touches again. The ledger's data about them, the last four parameters, stays.
UPDATE attendee_relay.spool s
   SET identity = t.identity, gone = t.gone, origin = t.origin, key_kind = t.key_kind, source_key = t.source_key,
       status = t.status, seq = t.seq
  FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::text[], $5::smallint[], $6::text[], $7::smallint[],
              $8::bigint[], $9::boolean[], $10::text[], $11::text[], $12::text[])
       AS t (number, identity, gone, origin, key_kind, source_key, status, seq, was_accepted, ledger_key, ledger_lsn,
            ledger_as)
 WHERE s.number = t.number
