-- These rows are no longer accepted, or no longer there.
DELETE FROM attendee_relay.ledger WHERE identity = ANY ($1::text[])
