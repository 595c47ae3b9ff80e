-- Endpoints that are heard of for the first time.
INSERT INTO attendee_relay.endpoint (id, webhook_url)
SELECT t.id, t.webhook_url
  FROM unnest($1::uuid[], $2::text[]) AS t (id, webhook_url)
 ORDER BY t.id
    ON CONFLICT (id) DO NOTHING
