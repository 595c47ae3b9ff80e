-- Takes due messages under a fresh lease, if the bookkeeping is this database's and deployment's ($7) and not ahead of its
-- WAL: a copy sends nothing. Endpoint by endpoint, the longest due first, no more than the endpoint has room for ($3 less
-- what is in flight already), so that the backlog of one hides no other; and of a lane only the oldest, so that one
-- attendee's messages to one endpoint keep their order.
WITH RECURSIVE ours AS (
    SELECT FROM attendee_relay.checkpoint c
     WHERE c.deployment = $7
       AND c.database = pg_catalog.current_database()
       AND c.system_id = (SELECT system_identifier::text FROM pg_catalog.pg_control_system())
       AND c.lsn <= pg_catalog.pg_current_wal_insert_lsn()
), busy AS (
    SELECT endpoint, held FROM unnest($4::uuid[], $5::int[]) AS b (endpoint, held)
), endpoints AS (
    (SELECT p.endpoint FROM attendee_relay.pending p WHERE EXISTS (SELECT FROM ours) ORDER BY p.endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint FROM attendee_relay.pending p WHERE p.endpoint > e.endpoint ORDER BY p.endpoint LIMIT 1)
      FROM endpoints e
     WHERE e.endpoint IS NOT NULL
), candidate AS (
    SELECT c.id
      FROM endpoints e
      LEFT JOIN busy b USING (endpoint)
     CROSS JOIN LATERAL (
           SELECT p.id
             FROM attendee_relay.pending p
            WHERE p.endpoint = e.endpoint AND p.next_attempt_at <= now()
              AND NOT EXISTS (SELECT FROM attendee_relay.pending older WHERE older.lane = p.lane AND older.id < p.id)
            ORDER BY p.next_attempt_at, p.id
            LIMIT greatest($3::int - coalesce(b.held, 0), 0)) c
), taken AS (
    SELECT p.id
      FROM attendee_relay.pending p
     WHERE p.id IN (SELECT id FROM candidate) AND p.next_attempt_at <= now()
     ORDER BY p.next_attempt_at, p.id
     LIMIT $1::int
       FOR UPDATE SKIP LOCKED
)
UPDATE attendee_relay.pending p
   SET lease = $6::uuid, next_attempt_at = now() + $2::text::interval
  FROM taken t
  JOIN attendee_relay.message m USING (id)
 WHERE p.id = t.id
RETURNING p.id, m.message_id, p.endpoint, m.webhook_url, coalesce(m.secret, ''), coalesce(m.payload, ''), p.attempts, m.committed_at
