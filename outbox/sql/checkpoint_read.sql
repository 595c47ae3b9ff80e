-- What the bookkeeping belongs to and how far it has come.
SELECT system_id, database, deployment, source, phase, lsn::text, seen_snapshot, seen_until::text
  FROM attendee_relay.checkpoint
