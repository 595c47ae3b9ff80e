-- Differences between ledger and table that were found and corrected while streaming continued.
INSERT INTO attendee_relay.gap (reason, from_lsn, to_lsn, ended_at, announce, added, removed)
SELECT $1, lsn, lsn, now(), true, $2, $3
  FROM attendee_relay.checkpoint
