-- The messages of the same attendee and delivery_key that are older than these and wait, and whether they wait at the
-- same endpoint, where one may have come since the younger was claimed. At another, a URL that was changed may lead it
-- to where the younger one goes. Not those of the same acceptance: they are for other webhooks.
SELECT y.id, o.id, o.endpoint = m.endpoint
  FROM unnest($1::bigint[]) AS y (id)
 CROSS JOIN LATERAL (SELECT m.endpoint, m.delivery_key, m.attendee_id, m.commit_lsn, m.identity
                       FROM attendee_relay.message m WHERE m.id = y.id ORDER BY m.id LIMIT 1) m
 CROSS JOIN LATERAL (SELECT p.id, p.endpoint
                       FROM attendee_relay.pending p
                      CROSS JOIN LATERAL (SELECT e.delivery_key, e.attendee_id, e.commit_lsn, e.identity
                                            FROM attendee_relay.message e
                                           WHERE e.id = p.id ORDER BY e.id LIMIT 1) e
                      WHERE p.lane = attendee_relay.lane(m.attendee_id) AND p.id < y.id
                        AND e.attendee_id = m.attendee_id AND e.delivery_key = m.delivery_key
                        AND (e.commit_lsn <> m.commit_lsn OR e.identity <> m.identity)
                      ORDER BY p.lane, p.id) o
