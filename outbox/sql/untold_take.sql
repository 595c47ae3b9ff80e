-- Takes out at most $1 messages that a command has ended and the leader has not logged yet.
WITH taken AS (
    DELETE FROM attendee_relay.untold
     WHERE id = ANY (ARRAY(SELECT id FROM attendee_relay.untold ORDER BY id LIMIT $1::int FOR UPDATE SKIP LOCKED))
    RETURNING id, reason
)
SELECT t.reason, m.message_id, m.endpoint
  FROM taken t
  JOIN attendee_relay.message m ON m.id = t.id
 ORDER BY t.id
