-- The work left to do with a complete spool.
SELECT spool_step, spool_cursor, spool_truncated
  FROM attendee_relay.checkpoint
 WHERE spool_step IS NOT NULL
