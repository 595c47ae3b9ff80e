-- Locks the fence for this transaction and moves the checkpoint forward, if this process still leads; if not, it fails
-- with division_by_zero (SQLSTATE 22012), so that whatever was sent behind it without waiting for its answer is not
-- done either.
WITH passed AS (
    UPDATE attendee_relay.checkpoint
       SET lsn = greatest(lsn, $2::text::pg_lsn)
     WHERE epoch = $1
    RETURNING epoch
)
SELECT 1 / count(*) FROM passed
