-- Rows of a stretch of the spool that the last TRUNCATE took, at seq $3: live ones that were not inserted after it.
UPDATE attendee_relay.spool
   SET gone = true, seq = $3
 WHERE number > $1 AND number <= $2 AND NOT gone AND seq < $3
