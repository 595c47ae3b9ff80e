-- Streaming has ended at the checkpoint: the transactions after it cannot be read. The gap is open until a baseline is
-- taken.
WITH lost AS (
    UPDATE attendee_relay.checkpoint
       SET phase = $1
     WHERE phase = 'streaming' AND epoch = $2
    RETURNING lsn
)
INSERT INTO attendee_relay.gap (reason, from_lsn, announce)
SELECT $3, lsn, true
  FROM lost
