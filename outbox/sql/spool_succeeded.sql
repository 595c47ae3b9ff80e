-- Deleted rows whose place an inserted one has taken.
DELETE FROM attendee_relay.spool WHERE number = ANY ($1::bigint[])
