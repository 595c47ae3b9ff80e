-- These rows are accepted now.
INSERT INTO attendee_relay.ledger (identity, source_key, commit_lsn, accepted_as)
SELECT identity, source_key, commit_lsn::pg_lsn, accepted_as
  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS added (identity, source_key, commit_lsn, accepted_as)
    ON CONFLICT (identity) DO UPDATE SET source_key = excluded.source_key, commit_lsn = excluded.commit_lsn,
      accepted_as = excluded.accepted_as
