-- What would be lost with the bookkeeping: whose it is, and what has not been sent yet.
SELECT coalesce((SELECT deployment FROM attendee_relay.checkpoint), ''),
       (SELECT count(*) FROM attendee_relay.pending),
       (SELECT count(*) FROM attendee_relay.acceptance WHERE state = 'waiting')
