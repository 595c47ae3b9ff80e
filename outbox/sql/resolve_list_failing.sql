-- As resolve_list.sql, for the keys with an acceptance that waits for an error: those acceptances and the ones behind
-- them, found through the few that fail. None is behind an older one of its key that belongs to resolve_list.sql: it
-- could not be taken, and would be evaluated again at once.
WITH failing AS MATERIALIZED (
    SELECT a.id, a.source_key
      FROM attendee_relay.acceptance a
     WHERE a.state = 'waiting' AND a.last_error IS NOT NULL AND a.next_evaluation_at <= now()
       AND NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                        WHERE older.state = 'waiting' AND older.source_key = a.source_key AND older.id < a.id
                          AND older.last_error IS NULL)
     ORDER BY a.id
     LIMIT $1
), theirs AS MATERIALIZED (
    SELECT id, source_key FROM failing
     UNION
    SELECT behind.id, f.source_key
      FROM failing f
     CROSS JOIN LATERAL (SELECT a.id
                           FROM attendee_relay.acceptance a
                          WHERE a.state = 'waiting' AND a.source_key = f.source_key AND a.id > f.id
                            AND a.next_evaluation_at <= now()
                         OFFSET 0) behind
)
SELECT t.id
  FROM theirs t
 WHERE NOT EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step NOT IN ('add', 'clear'))
   AND NOT EXISTS (SELECT FROM attendee_relay.acceptance older
                    WHERE older.state = 'waiting' AND older.source_key = t.source_key AND older.id < t.id
                      AND older.next_evaluation_at > now())
 ORDER BY t.id
 LIMIT $1
