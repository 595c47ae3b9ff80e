-- Waiting acceptances that are due, oldest first, but none before an older one of its key that waits longer. An
-- acceptance's row may have left the ledger since; patience ends when it has waited long enough. While a large transaction is
-- applied, the ledger lacks rows that it is about to have.
SELECT a.id, a.identity, a.row_identity, a.source_key, a.commit_lsn::text, a.committed_at, a.evaluations,
       EXISTS (SELECT FROM attendee_relay.ledger l WHERE l.identity = a.row_identity)
       OR EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step IS NOT NULL),
       coalesce(a.empty_since < now() - $2::text::interval, false),
       a.revision
  FROM attendee_relay.acceptance a
 WHERE a.state = 'waiting' AND a.next_evaluation_at <= now()
   AND NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                    WHERE older.state = 'waiting' AND older.source_key = a.source_key AND older.id < a.id
                      AND older.next_evaluation_at > now())
 ORDER BY a.id
 LIMIT $1
