-- Acceptances whose payload is not ready: evaluated when $7 has passed since this. The commit's time decides
-- nothing: another server may have stamped it.
INSERT INTO attendee_relay.acceptance (identity, row_identity, source_key, commit_lsn, committed_at, stamped_at,
                                       next_evaluation_at)
SELECT identity, row_identity, source_key, commit_lsn::pg_lsn, committed_at::timestamptz,
       nullif(stamped_at::timestamptz, committed_at::timestamptz), now() + $7::text::interval
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
       WITH ORDINALITY AS added (identity, row_identity, source_key, commit_lsn, committed_at, stamped_at, place)
 ORDER BY place
