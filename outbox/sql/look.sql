-- Picks the next $1 messages of a paused or disabled endpoint whose turn it is, and puts its next turn off: for as long
-- as half the time that it has been in this state, between $2 and 15 minutes. At the end of its messages it begins
-- again.
WITH turn AS MATERIALIZED (
    SELECT e.id, e.since, e.looked
      FROM attendee_relay.endpoint e
     WHERE e.state IN ('paused', 'disabled') AND e.look_at <= now()
       AND EXISTS (SELECT FROM attendee_relay.pending p WHERE p.endpoint = e.id)
       AND EXISTS (SELECT FROM attendee_relay.own_books WHERE deployment = $3)
     ORDER BY e.look_at
     LIMIT 1
       FOR UPDATE SKIP LOCKED
), picked AS MATERIALIZED (
    SELECT p.id
      FROM turn t
     CROSS JOIN LATERAL (SELECT p.id
                           FROM attendee_relay.pending p
                          WHERE p.endpoint = t.id AND p.id > t.looked
                          ORDER BY p.endpoint, p.id
                          LIMIT $1::int) p
), put_off AS (
    UPDATE attendee_relay.endpoint e
       SET looked = CASE WHEN (SELECT count(*) FROM picked) < $1::int THEN 0 ELSE (SELECT max(id) FROM picked) END,
           look_at = now() + least(greatest($2::text::interval, (now() - t.since) / 2), interval '15 minutes')
      FROM turn t
     WHERE e.id = t.id
)
SELECT t.id, array(SELECT id FROM picked ORDER BY id)
  FROM turn t
