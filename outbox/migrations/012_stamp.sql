-- The time in the commit record, on which message ids rest, where it is not committed_at: a commit from a
-- replication origin carries the time of another server.
ALTER TABLE attendee_relay.acceptance ADD COLUMN IF NOT EXISTS stamped_at timestamptz;
ALTER TABLE attendee_relay.checkpoint ADD COLUMN IF NOT EXISTS spool_stamp timestamptz;
