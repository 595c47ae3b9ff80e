-- Where the next rows of the spool end, in the order in which the transaction first touched them; NULL: there are none.
SELECT max(number)
  FROM (SELECT number FROM attendee_relay.spool WHERE number > $1 ORDER BY number LIMIT $2) AS next
