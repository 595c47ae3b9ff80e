-- The waiting acceptances of these rows, or of these keys.
SELECT id, row_identity, source_key
  FROM attendee_relay.acceptance
 WHERE state = 'waiting' AND row_identity = ANY ($1::text[])
 UNION
SELECT id, row_identity, source_key
  FROM attendee_relay.acceptance
 WHERE state = 'waiting' AND source_key = ANY ($2::text[])
 ORDER BY id
