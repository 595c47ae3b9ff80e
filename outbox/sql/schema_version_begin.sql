-- The version of a schema that has no table yet.
INSERT INTO attendee_relay.schema_version (version)
SELECT 0
 WHERE NOT EXISTS (SELECT FROM attendee_relay.schema_version)
    ON CONFLICT DO NOTHING
