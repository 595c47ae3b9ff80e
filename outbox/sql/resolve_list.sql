-- The oldest waiting acceptances that are due, but none before an older one of its key that waits longer.
SELECT a.id
  FROM attendee_relay.acceptance a
 WHERE a.state = 'waiting' AND a.next_evaluation_at <= now()
   AND NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                    WHERE older.state = 'waiting' AND older.source_key = a.source_key AND older.id < a.id
                      AND older.next_evaluation_at > now())
 ORDER BY a.id
 LIMIT $1
