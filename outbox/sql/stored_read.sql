-- What these messages were written with.
SELECT m.id, m.source_key, m.delivery_key, coalesce(m.webhook_url, ''), coalesce(m.secret, ''), coalesce(m.headers, '')
  FROM attendee_relay.message m
 WHERE m.id = ANY ($1::bigint[])
