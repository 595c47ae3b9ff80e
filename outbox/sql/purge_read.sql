-- Which deployment the bookkeeping belongs to, and how much has not been sent yet and would be lost with it.
SELECT coalesce((SELECT deployment FROM attendee_relay.checkpoint), ''),
       (SELECT count(*) FROM attendee_relay.pending),
       (SELECT count(*) FROM attendee_relay.acceptance WHERE state = 'waiting')
