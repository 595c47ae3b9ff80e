-- Keys for which the payload query worked lately, and that do not wait now.
SELECT m.source_key
  FROM (SELECT id, source_key FROM attendee_relay.message ORDER BY id DESC LIMIT 100) m
 WHERE m.source_key IS NOT NULL
   AND NOT EXISTS (SELECT FROM attendee_relay.acceptance a WHERE a.state = 'waiting' AND a.source_key = m.source_key)
 GROUP BY m.source_key
 ORDER BY max(m.id) DESC
 LIMIT $1
