-- Where the next acceptances end, waiting or not, in their order; NULL: there are none.
SELECT max(id)
  FROM (SELECT id FROM attendee_relay.acceptance WHERE id > $1 ORDER BY id LIMIT $2) AS next
