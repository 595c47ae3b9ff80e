-- After a TRUNCATE: the rows still in the ledger are not named by the transaction. They leave it and are put into the
-- spool as deleted before everything else, so that one inserted again with the same SOURCE_KEY is recognised.
WITH emptied AS (
    DELETE FROM attendee_relay.ledger
     WHERE identity = ANY (ARRAY(SELECT identity FROM attendee_relay.ledger ORDER BY identity LIMIT $1))
    RETURNING identity, source_key, commit_lsn, accepted_as
)
INSERT INTO attendee_relay.spool (identity, gone, origin, key_kind, source_key, status, seq, was_accepted,
                                  ledger_key, ledger_lsn, ledger_as)
SELECT identity, true, identity, 0, NULL, 0, 0, true, source_key, commit_lsn, accepted_as
  FROM emptied
