-- The bookkeeping is new, although the stream was read up to $2 or waits there to be read. The gap is open until the
-- baseline is taken.
INSERT INTO attendee_relay.gap (reason, from_lsn, announce)
SELECT $1, $2::text::pg_lsn, $3
  FROM attendee_relay.checkpoint
 WHERE phase <> 'streaming' AND epoch = $4
    ON CONFLICT ((true)) WHERE ended_at IS NULL DO NOTHING
