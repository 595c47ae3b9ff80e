-- New messages that are never sent, each for the reason in $12; their bodies are not stored. Those that are there
-- already stay as they are.
WITH added AS (
    SELECT *
      FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::uuid[], $10::text[], $11::text[], $12::text[])
           WITH ORDINALITY AS a (message_id, identity, source_key, delivery_key, commit_lsn, committed_at,
                                 attendee_id, event_id, endpoint, webhook_url, secret, reason, place)
), made AS (
    INSERT INTO attendee_relay.message (message_id, identity, source_key, delivery_key, commit_lsn, committed_at,
                                        attendee_id, event_id, endpoint, webhook_url, secret)
    SELECT message_id, pg_catalog.convert_from(identity, pg_catalog.getdatabaseencoding()), source_key, delivery_key,
           commit_lsn::pg_lsn, committed_at::timestamptz, attendee_id, event_id, endpoint, webhook_url, secret
      FROM added
     ORDER BY place
    ON CONFLICT (message_id) DO NOTHING
    RETURNING id, message_id
)
INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_error)
SELECT m.id, 'dead', now(), 0, a.reason
  FROM made m
  JOIN added a ON a.message_id = m.message_id
