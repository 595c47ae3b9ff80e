-- The transaction emptied the table: every row it had touched is gone.
UPDATE attendee_relay.spool SET gone = true, seq = $1 WHERE NOT gone
