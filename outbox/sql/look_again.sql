-- Some messages of the endpoint have another URL now: others will have, too, and are looked at at once.
UPDATE attendee_relay.endpoint
   SET look_at = now()
 WHERE id = $1 AND state IN ('paused', 'disabled')
