-- How far the spool has been applied.
UPDATE attendee_relay.checkpoint SET spool_step = $1, spool_cursor = $2
