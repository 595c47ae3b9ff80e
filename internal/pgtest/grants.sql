-- The README's grants to the relay's role in a database; the default privileges cover the tables that a test makes
-- itself.
CREATE SCHEMA attendee_relay AUTHORIZATION attendee_relay;
GRANT USAGE ON SCHEMA public TO attendee_relay;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO attendee_relay;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO attendee_relay;
