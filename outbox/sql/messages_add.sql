-- New messages, in order. Those without a URL are settled at once, and returned without a number; the others are due
-- now.
--
-- Those of $13 that may be sent at once are leased ($14) for $15, counted from this statement, and returned: where the
-- books are this database's and deployment's ($16), as for a claim, the endpoint answered last with a 2xx, nothing
-- older of the attendee waits, and of the attendee's messages here the endpoint gets this one first. All else is a
-- claim's.
WITH made AS (
    INSERT INTO attendee_relay.message (message_id, identity, source_key, delivery_key, commit_lsn, committed_at,
                                        attendee_id, event_id, endpoint, webhook_url, secret, payload, headers)
    SELECT message_id, pg_catalog.convert_from(identity, pg_catalog.getdatabaseencoding()), source_key, delivery_key,
           commit_lsn::pg_lsn, committed_at::timestamptz,
           attendee_id, event_id, endpoint, webhook_url, secret, payload, headers
      FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::uuid[], $10::text[], $11::text[], $12::text[], $17::text[])
           WITH ORDINALITY AS added (message_id, identity, source_key, delivery_key, commit_lsn, committed_at,
                                     attendee_id, event_id, endpoint, webhook_url, secret, payload, headers, place)
     ORDER BY place
    ON CONFLICT (message_id) DO NOTHING
    RETURNING id, message_id, attendee_relay.lane(attendee_id) AS lane, endpoint
), standing AS (
    SELECT id, message_id, lane, endpoint,
           cardinality($13::text[]) > 0 AND EXISTS (SELECT FROM attendee_relay.own_books WHERE deployment = $16)
           AND coalesce((SELECT e.state = 'active' AND e.proven AND e.failures = 0
                           FROM attendee_relay.endpoint e
                          WHERE e.id = made.endpoint
                          ORDER BY e.id LIMIT 1), false)
           AND (SELECT older.id FROM attendee_relay.pending older
                 WHERE older.lane = made.lane
                 ORDER BY older.lane, older.id LIMIT 1) IS NULL AS well
      FROM made
     WHERE endpoint IS NOT NULL
), sorted AS (
    SELECT id, message_id, lane, endpoint,
           message_id IN (SELECT unnest($13::text[])) -- hashed, where = ANY would look at each
           AND row_number() OVER (PARTITION BY lane, endpoint ORDER BY id) = 1
           AND bool_and(well) OVER (PARTITION BY lane ORDER BY id) AS leased
      FROM standing
), queued AS (
    INSERT INTO attendee_relay.pending (id, endpoint, lane, due_at, lease, lease_ends)
    SELECT id, endpoint, lane, now(), CASE WHEN leased THEN $14::uuid END,
           CASE WHEN leased THEN statement_timestamp() + $15::text::interval END
      FROM sorted
), skipped AS (
    INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_error)
    SELECT id, 'skipped', now(), 0, 'no_url: the row has no webhook_url, and DELIVERY_DEFAULT_URL is not set'
      FROM made
     WHERE endpoint IS NULL
)
SELECT message_id, id
  FROM sorted
 WHERE leased
 UNION ALL
SELECT message_id, NULL
  FROM made
 WHERE endpoint IS NULL
