-- Rows that the transaction touches for the first time. The first parameter, their numbers, is not used: they get new
-- ones.
INSERT INTO attendee_relay.spool (identity, gone, origin, key_kind, source_key, status, seq, was_accepted,
                                  ledger_key, ledger_lsn, ledger_as)
SELECT identity, gone, origin, key_kind, source_key, status, seq, was_accepted, ledger_key, ledger_lsn::pg_lsn,
  ledger_as
  FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::text[], $5::smallint[], $6::text[], $7::smallint[],
              $8::bigint[], $9::boolean[], $10::text[], $11::text[], $12::text[])
       WITH ORDINALITY AS added (number, identity, gone, origin, key_kind, source_key, status, seq,
                                 was_accepted, ledger_key, ledger_lsn, ledger_as, place)
 ORDER BY place
