-- A migration was run.
UPDATE attendee_relay.schema_version SET version = $1
