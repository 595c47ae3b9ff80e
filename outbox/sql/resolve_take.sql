-- These acceptances become messages in this transaction.
DELETE FROM attendee_relay.acceptance WHERE id = ANY ($1::bigint[]) AND state = 'waiting'
