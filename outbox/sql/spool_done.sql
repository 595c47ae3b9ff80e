-- The large transaction is recorded.
UPDATE attendee_relay.checkpoint
   SET spool_step = NULL, spool_cursor = 0, spool_lsn = NULL, spool_time = NULL, spool_stamp = NULL,
       spool_truncated = NULL
