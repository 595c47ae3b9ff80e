-- The gap is closed: streaming goes on from $2.
UPDATE attendee_relay.gap
   SET to_lsn = $2::text::pg_lsn, ended_at = now(), added = $3, removed = $4
 WHERE number = $1
RETURNING reason, from_lsn::text
