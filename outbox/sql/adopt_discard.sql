-- Ends a bounded number of pending messages, and lists them for the leader, which logs and counts them.
WITH batch AS (
    SELECT endpoint, id FROM attendee_relay.pending ORDER BY endpoint, id LIMIT $1 FOR UPDATE
), ended AS (
    DELETE FROM attendee_relay.pending p USING batch b WHERE p.endpoint = b.endpoint AND p.id = b.id
    RETURNING p.id, p.attempts, p.last_status
), untold AS (
    INSERT INTO attendee_relay.untold (id, reason)
    SELECT id, 'discarded' FROM ended
        ON CONFLICT (id) DO NOTHING
)
INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status, last_error)
SELECT id, 'dead', now(), attempts, last_status, 'discarded by adopt'
  FROM ended
