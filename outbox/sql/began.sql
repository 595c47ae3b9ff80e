-- Whether streaming has begun: a baseline was taken.
SELECT EXISTS (SELECT FROM attendee_relay.checkpoint WHERE lsn > '0/0')
