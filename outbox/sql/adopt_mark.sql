-- These accepted rows are remembered, and not announced.
INSERT INTO attendee_relay.ledger (identity, source_key)
SELECT identity, source_key
  FROM unnest($1::text[], $2::text[]) AS marked (identity, source_key)
    ON CONFLICT (identity) DO NOTHING
