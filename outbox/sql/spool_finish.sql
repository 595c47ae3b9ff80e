-- The spool holds the whole transaction; from here on it is applied, step by step. $4: when the last TRUNCATE was, if
-- any. $5: the commit record's time.
UPDATE attendee_relay.checkpoint
   SET spool_step = $1,
       spool_cursor = 0,
       spool_lsn = $2::text::pg_lsn,
       spool_time = $3::text::timestamptz,
       spool_stamp = nullif($5::text::timestamptz, $3::text::timestamptz),
       spool_truncated = $4::bigint
