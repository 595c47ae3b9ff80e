-- Acceptances that waited because the payload query failed for all are due at once, at most $1.
UPDATE attendee_relay.acceptance
   SET next_evaluation_at = now()
 WHERE id IN (SELECT id
                FROM attendee_relay.acceptance
               WHERE state = 'waiting' AND last_error IS NOT NULL
               ORDER BY id
               LIMIT $1)
