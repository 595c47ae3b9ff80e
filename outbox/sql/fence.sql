-- Locks the fence for this transaction, if this process still leads, and moves the checkpoint forward.
UPDATE attendee_relay.checkpoint
   SET lsn = greatest(lsn, $2::text::pg_lsn)
 WHERE epoch = $1
