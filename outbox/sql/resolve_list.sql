-- The oldest waiting acceptances that are due, but none before an older one of its key that waits longer. While a large
-- transaction is applied, none before they have followed their rows; its own come after it: commits wait behind it, and
-- the machine is for it. Keys of which one waits for an error are not among them: resolve_list_failing.sql has those.
SELECT a.id
  FROM attendee_relay.acceptance a
 WHERE a.state = 'waiting' AND a.next_evaluation_at <= now()
   AND NOT EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step NOT IN ('add', 'clear'))
   AND NOT EXISTS (SELECT FROM attendee_relay.checkpoint c
                    WHERE c.spool_step IS NOT NULL AND c.spool_lsn = a.commit_lsn)
   AND NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                    WHERE older.state = 'waiting' AND older.source_key = a.source_key AND older.id < a.id
                      AND older.next_evaluation_at > now())
   AND (NOT EXISTS (SELECT FROM attendee_relay.acceptance WHERE state = 'waiting' AND last_error IS NOT NULL)
        OR a.last_error IS NULL
           AND NOT EXISTS (SELECT FROM attendee_relay.acceptance failing
                            WHERE failing.state = 'waiting' AND failing.source_key = a.source_key AND failing.id < a.id
                              AND failing.last_error IS NOT NULL))
 ORDER BY a.id
 LIMIT $1
