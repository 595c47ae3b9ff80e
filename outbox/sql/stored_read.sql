-- What these messages were written with, and what else decides where they go: whether the source row is still accepted,
-- how many times the payload query gave no row, and which endpoints other messages of the same acceptance and attendee
-- had or have; not those that were recorded at the same endpoint as this one, which may go elsewhere with it. While the
-- ledger is being brought up to date, every row counts as accepted.
SELECT m.id, m.source_key, m.delivery_key, coalesce(m.webhook_url, ''), coalesce(m.secret, ''), coalesce(m.headers, ''),
       m.attendee_id, m.commit_lsn::text,
       NOT b.complete OR EXISTS (SELECT FROM attendee_relay.ledger l WHERE l.identity = m.identity),
       coalesce((SELECT p.unanswered
                   FROM attendee_relay.pending p
                  WHERE (p.endpoint, p.id) BETWEEN (m.endpoint, m.id) AND (m.endpoint, m.id)
                  ORDER BY p.endpoint, p.id LIMIT 1), 0),
       ARRAY(SELECT unnest(ARRAY[o.endpoint, o.recorded])
               FROM attendee_relay.message o
              WHERE o.attendee_id = m.attendee_id AND o.commit_lsn = m.commit_lsn AND o.identity = m.identity
                AND o.id <> m.id
                AND coalesce(o.recorded, o.endpoint) <> coalesce(m.recorded, m.endpoint))
  FROM attendee_relay.message m
 CROSS JOIN (SELECT coalesce(bool_and(phase = 'streaming' AND spool_step IS NULL), false) AS complete
               FROM attendee_relay.checkpoint) b
 WHERE m.id = ANY ($1::bigint[])
