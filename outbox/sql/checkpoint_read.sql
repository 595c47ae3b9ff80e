-- The settings and catalog objects that the bookkeeping depends on, and how far it has come.
SELECT source, phase, lsn::text, seen_snapshot, seen_until::text, pins
  FROM attendee_relay.checkpoint
