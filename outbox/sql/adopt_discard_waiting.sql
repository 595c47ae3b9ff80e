-- Ends a bounded number of waiting acceptances.
UPDATE attendee_relay.acceptance
   SET state = 'empty', last_error = 'discarded by adopt'
 WHERE id IN (SELECT id FROM attendee_relay.acceptance WHERE state = 'waiting' ORDER BY id LIMIT $1)
