-- Empties a bounded part of the spool.
DELETE FROM attendee_relay.spool
 WHERE number IN (SELECT number FROM attendee_relay.spool ORDER BY number LIMIT $1)
