-- These rows are accepted now.
INSERT INTO attendee_relay.ledger (identity, source_key, commit_lsn)
SELECT identity, source_key, commit_lsn::pg_lsn
  FROM unnest($1::text[], $2::text[], $3::text[]) AS added (identity, source_key, commit_lsn)
    ON CONFLICT (identity) DO UPDATE SET source_key = excluded.source_key, commit_lsn = excluded.commit_lsn
