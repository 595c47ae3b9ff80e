-- Acceptances whose payload is not ready: evaluated when $6 has passed since the commit.
INSERT INTO attendee_relay.acceptance (identity, row_identity, source_key, commit_lsn, committed_at, next_evaluation_at)
SELECT identity, row_identity, source_key, commit_lsn::pg_lsn, committed_at::timestamptz,
       coalesce(committed_at::timestamptz, now()) + $6::text::interval
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
       WITH ORDINALITY AS added (identity, row_identity, source_key, commit_lsn, committed_at, place)
 ORDER BY place
