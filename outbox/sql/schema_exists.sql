-- Whether the relay's own schema is there.
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = 'attendee_relay')
