-- Whether the bookkeeping has been made. Its schema alone may be there before: an administrator makes it for a role
-- that may not.
SELECT EXISTS (SELECT
                 FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'attendee_relay' AND c.relname = 'checkpoint')
