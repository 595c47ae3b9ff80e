-- Seconds until the next waiting acceptance is due, of those that wait for an error ($1) or of the others. One that has
-- been due for longer and was not evaluated waits for an older one of its key, which is due later. None is due before
-- they have followed their rows in a large transaction.
SELECT extract(epoch FROM min(next_evaluation_at) - now())::float8
  FROM attendee_relay.acceptance
 WHERE state = 'waiting' AND next_evaluation_at > now() - interval '1 second' AND (last_error IS NOT NULL) = $1
   AND NOT EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step NOT IN ('add', 'clear'))
