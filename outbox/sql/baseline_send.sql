-- SOURCE_BASELINE=send: every row of the baseline is an acceptance at the slot's start.
WITH announced AS (
    UPDATE attendee_relay.ledger SET commit_lsn = $1::text::pg_lsn RETURNING identity, source_key
)
INSERT INTO attendee_relay.acceptance (identity, row_identity, source_key, commit_lsn, next_evaluation_at)
SELECT identity, identity, source_key, $1::text::pg_lsn, now()
  FROM announced
 ORDER BY identity
