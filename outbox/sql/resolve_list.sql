-- The oldest waiting acceptances that are due, but none before an older one of its key that waits longer. While a large
-- transaction is applied, none before they have followed their rows; its own come after it: commits wait behind it, and
-- the machine is for it.
SELECT a.id
  FROM attendee_relay.acceptance a
 WHERE a.state = 'waiting' AND a.next_evaluation_at <= now()
   AND NOT EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step NOT IN ('add', 'clear'))
   AND NOT EXISTS (SELECT FROM attendee_relay.checkpoint c
                    WHERE c.spool_step IS NOT NULL AND c.spool_lsn = a.commit_lsn)
   AND NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                    WHERE older.state = 'waiting' AND older.source_key = a.source_key AND older.id < a.id
                      AND older.next_evaluation_at > now())
 ORDER BY a.id
 LIMIT $1
