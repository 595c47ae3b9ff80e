-- New messages, in order. Those without a URL are settled at once; the others are due now.
WITH made AS (
    INSERT INTO attendee_relay.message (message_id, identity, source_key, delivery_key, commit_lsn, committed_at,
                                        attendee_id, event_id, endpoint, webhook_url, secret, payload)
    SELECT message_id, identity, source_key, delivery_key, commit_lsn::pg_lsn, committed_at::timestamptz,
           attendee_id, event_id, endpoint, webhook_url, secret, payload
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::uuid[], $10::text[], $11::text[], $12::text[])
           WITH ORDINALITY AS added (message_id, identity, source_key, delivery_key, commit_lsn, committed_at,
                                     attendee_id, event_id, endpoint, webhook_url, secret, payload, place)
     ORDER BY place
    ON CONFLICT (message_id) DO NOTHING
    RETURNING id, attendee_id, endpoint
), queued AS (
    INSERT INTO attendee_relay.pending (id, endpoint, lane, due_at)
    SELECT id, endpoint, hashtextextended(attendee_id, 0), now()
      FROM made
     WHERE endpoint IS NOT NULL
)
INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_error)
SELECT id, 'skipped', now(), 0, 'no webhook_url, and DELIVERY_DEFAULT_URL is not set'
  FROM made
 WHERE endpoint IS NULL
