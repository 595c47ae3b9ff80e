-- Keys for which the payload query worked lately, and that do not wait now, in the database's encoding.
SELECT pg_catalog.convert_to(m.source_key, pg_catalog.getdatabaseencoding())
  FROM (SELECT id, source_key FROM attendee_relay.message ORDER BY id DESC LIMIT 100) m
 WHERE m.source_key IS NOT NULL
   AND NOT EXISTS (SELECT FROM attendee_relay.acceptance a WHERE a.state = 'waiting' AND a.source_key = m.source_key)
 GROUP BY m.source_key
 ORDER BY max(m.id) DESC
 LIMIT $1
