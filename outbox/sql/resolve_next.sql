-- Seconds until the next waiting acceptance is due.
SELECT extract(epoch FROM min(next_evaluation_at) - now())::float8
  FROM attendee_relay.acceptance
 WHERE state = 'waiting'
