-- Writes down where messages go now ($3 move: to $4 and $5, or with the secret $6), or that they end: their row has no URL (blank)
-- or is not there any more (removed). It counts only under the lease they were claimed with, or, without one ($2 NULL), where there is
-- none. A message that would go where another of the same acceptance goes is one too many: its webhook was removed.
WITH told AS (
    SELECT t.*
      FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[])
           AS t (id, lease, fate, webhook_url, target, secret)
     ORDER BY t.id
), obtained AS MATERIALIZED (
    SELECT t.id, t.webhook_url, t.target, t.secret, m.endpoint, p.lane, p.attempts, p.last_status, m.attendee_id, m.commit_lsn, m.identity,
           m.delivery_key,
           CASE WHEN t.fate = 'move' AND t.target = m.endpoint THEN 'secret'
                WHEN t.fate = 'move' AND EXISTS (
                     SELECT FROM attendee_relay.message other
                      WHERE other.attendee_id = m.attendee_id AND other.commit_lsn = m.commit_lsn AND other.identity = m.identity
                        AND other.delivery_key = m.delivery_key AND other.endpoint = t.target AND other.id <> m.id) THEN 'removed'
                ELSE t.fate END AS wanted
      FROM told t
     CROSS JOIN LATERAL (SELECT m.id, m.endpoint, m.attendee_id, m.commit_lsn, m.identity, m.delivery_key
                           FROM attendee_relay.message m WHERE m.id = t.id ORDER BY m.id LIMIT 1) m
     CROSS JOIN LATERAL (SELECT p.lane, p.attempts, p.last_status
                           FROM attendee_relay.pending p
                          WHERE p.endpoint = m.endpoint AND p.id = m.id
                            AND CASE WHEN t.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = t.lease END
                            FOR UPDATE) p
), held AS MATERIALIZED (
    SELECT o.*,
           CASE WHEN o.wanted = 'move' AND row_number() OVER (PARTITION BY o.wanted, o.attendee_id, o.commit_lsn, o.identity, o.delivery_key, o.target
                                                               ORDER BY o.id) > 1 THEN 'removed'
                ELSE o.wanted END AS fate
      FROM obtained o
), rewritten AS (
    UPDATE attendee_relay.message m
       SET webhook_url = h.webhook_url, endpoint = h.target, secret = coalesce(h.secret, m.secret)
      FROM held h
     WHERE m.id = h.id AND h.fate IN ('move', 'secret')
), moved AS (
    UPDATE attendee_relay.pending p
       SET endpoint = h.target, lease = NULL, lease_ends = NULL,
           -- Its secret is looked at once more before it is sent.
           retry = true,
           -- What is in flight to the new endpoint of the same attendee is waited for.
           due_at = greatest(now(), (SELECT max(o.lease_ends) FROM attendee_relay.pending o
                                      WHERE o.lane = h.lane AND o.endpoint = h.target))
      FROM held h
     WHERE p.endpoint = h.endpoint AND p.id = h.id AND h.fate = 'move'
), ended AS (
    DELETE FROM attendee_relay.pending p
     USING held h
     WHERE p.endpoint = h.endpoint AND p.id = h.id AND h.fate IN ('blank', 'removed')
), noted AS (
    INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status, last_error)
    SELECT id, CASE fate WHEN 'blank' THEN 'skipped' ELSE 'dead' END, now(), attempts, last_status,
           CASE fate WHEN 'blank' THEN 'the webhook_url was taken away' ELSE 'the endpoint was removed' END
      FROM held
     WHERE fate IN ('blank', 'removed')
    ON CONFLICT (id) DO NOTHING
), let_go AS (
    UPDATE attendee_relay.pending p
       SET due_at = now()
      FROM held h
     CROSS JOIN LATERAL (SELECT n.id
                           FROM attendee_relay.pending n
                          WHERE n.lane = h.lane AND n.id > h.id AND n.endpoint = h.endpoint
                          ORDER BY n.lane, n.id LIMIT 1) next
     WHERE h.fate <> 'secret' AND p.endpoint = h.endpoint AND p.id = next.id AND NOT p.retry AND p.due_at > now()
       AND NOT EXISTS (SELECT FROM held other WHERE other.id = next.id AND other.fate <> 'secret')
)
SELECT id, fate FROM held
