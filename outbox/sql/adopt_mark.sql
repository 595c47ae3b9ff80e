-- These accepted rows are remembered, and not announced. Identities and keys are in the database's encoding.
INSERT INTO attendee_relay.ledger (identity, source_key)
SELECT pg_catalog.convert_from(identity, pg_catalog.getdatabaseencoding()),
       pg_catalog.convert_from(source_key, pg_catalog.getdatabaseencoding())
  FROM unnest($1::bytea[], $2::bytea[]) AS marked (identity, source_key)
    ON CONFLICT (identity) DO NOTHING
