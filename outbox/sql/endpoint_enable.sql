-- Gives a paused or disabled endpoint its messages again, as if a probe had been answered: at a slow, growing pace,
-- until a failure pauses it or a 410 disables it again. One that gets its messages already is left as it is.
UPDATE attendee_relay.endpoint
   SET state = 'recovering', since = now(), failures = 0, probe_at = NULL, probe_wait = NULL, look_at = NULL
 WHERE id = $1 AND state IN ('paused', 'disabled')
