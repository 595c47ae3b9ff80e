-- The schema's version, for this transaction alone to change.
SELECT version FROM attendee_relay.schema_version FOR UPDATE
