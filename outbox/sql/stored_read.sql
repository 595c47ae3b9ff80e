-- The data with which these messages were written, and what else decides where they go: whether the source row is still
-- accepted and its present key, how many times the payload query gave no row, and the endpoints that other messages of
-- the same acceptance and attendee had or have; except those that were recorded at the same endpoint as this one, which
-- may go elsewhere with it. While the ledger is being updated, every row counts as accepted.
--
-- The source row is the one that the ledger has from the same acceptance, whatever identity and key it has by now; one
-- that the ledger has taken over (a baseline says nothing of commits); else one accepted again under the same identity.
-- Each is one row of an index, whatever the statistics say.
SELECT m.id, m.source_key, coalesce(l.source_key, m.source_key), m.delivery_key, coalesce(m.webhook_url, ''),
       coalesce(m.secret, ''), coalesce(m.headers, ''), m.attendee_id,
       NOT b.complete OR l.rank IS NOT NULL,
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
  LEFT JOIN LATERAL (
       SELECT found.source_key, found.rank
         FROM ((SELECT here.source_key, CASE WHEN here.commit_lsn = m.commit_lsn THEN 1 ELSE 3 END AS rank
                  FROM attendee_relay.ledger here
                 WHERE here.identity = m.identity AND here.accepted_as IS NULL
                 ORDER BY here.identity LIMIT 1)
                UNION ALL
               (SELECT moved.source_key, 1
                  FROM attendee_relay.ledger moved
                 WHERE moved.accepted_as = m.identity AND moved.commit_lsn = m.commit_lsn
                 ORDER BY moved.accepted_as, moved.commit_lsn LIMIT 1)
                UNION ALL
               (SELECT moved.source_key, 2
                  FROM attendee_relay.ledger moved
                 WHERE moved.accepted_as = m.identity AND moved.commit_lsn IS NULL
                 ORDER BY moved.accepted_as, moved.commit_lsn LIMIT 1)) found
        ORDER BY found.rank
        LIMIT 1) l ON true
 WHERE m.id = ANY ($1::bigint[])
