-- The leader's session is another one after a lost connection: its successor must find it. It does not wait for the old
-- one, which may still hold the row.
UPDATE attendee_relay.checkpoint
   SET leader_pid = pg_catalog.pg_backend_pid(),
       leader_since = (SELECT backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid())
 WHERE singleton IN (SELECT singleton FROM attendee_relay.checkpoint WHERE epoch = $1 FOR UPDATE SKIP LOCKED)
