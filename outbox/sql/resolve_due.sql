-- Those of the listed acceptances that are due still, oldest first, again none before an older one of its key. They are
-- looked up by id, one by one, before anything else: of a table that has just grown Postgres believes that little is
-- due, and would read all of it. An acceptance's row may have left the ledger since; patience ends when it has waited
-- long enough. While a large transaction is applied, the ledger lacks rows that it is about to have, and before they
-- have followed their rows no acceptance is due.
WITH listed AS MATERIALIZED (
    SELECT id, identity, row_identity, source_key, commit_lsn, committed_at, stamped_at, state, evaluations,
           empty_since, revision, next_evaluation_at, last_error
      FROM attendee_relay.acceptance
     WHERE id = ANY (ARRAY(SELECT unnest($1::bigint[])))
)
SELECT a.id, a.identity, a.row_identity, a.source_key, a.commit_lsn::text, a.committed_at,
       coalesce(a.stamped_at, a.committed_at), a.evaluations,
       EXISTS (SELECT FROM attendee_relay.ledger l WHERE l.identity = a.row_identity)
       OR EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step IS NOT NULL),
       coalesce(a.empty_since < now() - $2::text::interval, false),
       a.revision, a.last_error IS NOT NULL
  FROM listed a
 WHERE a.state = 'waiting' AND a.next_evaluation_at <= now()
   AND NOT EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step NOT IN ('add', 'clear'))
   AND NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                    WHERE older.state = 'waiting' AND older.source_key = a.source_key AND older.id < a.id
                      AND older.next_evaluation_at > now())
 ORDER BY a.id
