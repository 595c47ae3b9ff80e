-- A ledger of millions takes longer than a session's statements otherwise may.
SET LOCAL statement_timeout = 0;

ALTER TABLE attendee_relay.ledger
    -- The identity under which the row was accepted, by which its messages find it; NULL if that is its present one.
    ADD COLUMN IF NOT EXISTS accepted_as text COLLATE "C";
ALTER TABLE attendee_relay.spool
    -- The ledger's value of that before the transaction.
    ADD COLUMN IF NOT EXISTS ledger_as text COLLATE "C";
-- Only of rows that have moved.
CREATE INDEX IF NOT EXISTS ledger_moved ON attendee_relay.ledger (accepted_as, commit_lsn)
    WHERE accepted_as IS NOT NULL;

-- Rows that moved before: those of waiting messages are recognised once more by key and commit. A row with a message of
-- its own under its present identity did not move; if its commit is not known, with one that waits.
WITH waiting AS MATERIALIZED (
    SELECT m.identity, m.source_key, m.commit_lsn
      FROM attendee_relay.pending p
      JOIN attendee_relay.message m ON m.id = p.id
), moved AS MATERIALIZED (
    SELECT DISTINCT w.identity, w.source_key, w.commit_lsn
      FROM waiting w
     WHERE NOT EXISTS (SELECT FROM attendee_relay.ledger l WHERE l.identity = w.identity)
)
UPDATE attendee_relay.ledger l
   SET accepted_as = m.identity
  FROM moved m
 WHERE l.source_key = m.source_key AND coalesce(l.commit_lsn = m.commit_lsn, true)
   AND NOT EXISTS (SELECT FROM attendee_relay.message own
                    WHERE own.identity = l.identity AND own.commit_lsn = m.commit_lsn)
   AND (l.commit_lsn IS NOT NULL OR NOT EXISTS (SELECT FROM waiting own WHERE own.identity = l.identity));

-- A waiting acceptance has followed its row, and becomes a message under the identity that was accepted.
UPDATE attendee_relay.ledger l
   SET accepted_as = a.identity
  FROM attendee_relay.acceptance a
 WHERE a.state = 'waiting' AND a.identity <> a.row_identity
   AND l.identity = a.row_identity AND l.commit_lsn = a.commit_lsn;
