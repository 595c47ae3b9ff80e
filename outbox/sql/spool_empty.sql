-- Empties the spool at once, and gives its disk space back.
TRUNCATE attendee_relay.spool
