-- Writes down where messages go now ($3 move: to $4 and $5, or with the secret $6 and the headers $7), or that they end: their row has no URL (blank)
-- or is not there any more (removed). It counts only under the lease they were claimed with, or, without one ($2 NULL), where there is
-- none. A message that would go where another of the same acceptance goes is one too many: its webhook was removed.
-- lease_lock.sql has locked the rows; what came free only since is taken if nobody else has it. Each is looked up on its own and reached
-- by its place, as in settle_delivered.sql. What is written of a message follows from what became of its row in pending: of one that
-- changed a moment ago nothing is, and it comes again.
WITH told AS (
    SELECT t.*
      FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[])
           AS t (id, lease, fate, webhook_url, target, secret, headers)
     ORDER BY t.id
), obtained AS MATERIALIZED (
    SELECT t.id, t.lease, t.webhook_url, t.target, t.secret, t.headers, m.endpoint, p.place, p.lane, p.attempts, p.last_status, m.attendee_id, m.commit_lsn, m.identity,
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
     CROSS JOIN LATERAL (SELECT p.ctid AS place, p.lane, p.attempts, p.last_status
                           FROM attendee_relay.pending p
                          WHERE (p.endpoint, p.id) BETWEEN (m.endpoint, m.id) AND (m.endpoint, m.id)
                            AND CASE WHEN t.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = t.lease END
                          ORDER BY p.endpoint, p.id LIMIT 1
                            FOR UPDATE SKIP LOCKED) p
), held AS MATERIALIZED (
    SELECT o.*,
           CASE WHEN o.wanted = 'move' AND row_number() OVER (PARTITION BY o.wanted, o.attendee_id, o.commit_lsn, o.identity, o.delivery_key, o.target
                                                               ORDER BY o.id) > 1 THEN 'removed'
                ELSE o.wanted END AS fate
      FROM obtained o
), moved AS (
    UPDATE attendee_relay.pending p
       SET endpoint = h.target, lease = NULL, lease_ends = NULL,
           -- Its secret is looked at once more before it is sent.
           retry = true,
           -- What is in flight to the new endpoint of the same attendee is waited for.
           due_at = greatest(now(), (SELECT max(o.lease_ends)
                                       FROM (SELECT o.lease_ends FROM attendee_relay.pending o
                                              WHERE o.lane = h.lane AND o.endpoint = h.target
                                              ORDER BY o.lane, o.id OFFSET 0) o))
      FROM held h
     WHERE p.ctid = h.place AND h.fate = 'move'
       AND CASE WHEN h.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = h.lease END
    RETURNING h.id
), ended AS (
    DELETE FROM attendee_relay.pending p
     USING held h
     WHERE p.ctid = h.place AND h.fate IN ('blank', 'removed')
       AND CASE WHEN h.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = h.lease END
    RETURNING h.id
), changed AS MATERIALIZED (
    SELECT h.* FROM held h
     WHERE h.fate = 'secret' OR h.id IN (SELECT id FROM moved UNION ALL SELECT id FROM ended)
), rewritten AS (
    UPDATE attendee_relay.message m
       SET webhook_url = c.webhook_url, endpoint = c.target, secret = c.secret, headers = c.headers,
           had_secret = m.had_secret OR m.secret IS NOT NULL
      FROM changed c
     WHERE m.id = c.id AND (c.fate = 'move' OR c.fate = 'secret' AND m.endpoint = c.target)
), noted AS (
    INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status, last_error)
    SELECT id, CASE fate WHEN 'blank' THEN 'skipped' ELSE 'dead' END, now(), attempts, last_status,
           CASE fate WHEN 'blank' THEN 'the webhook_url was taken away' ELSE 'the endpoint was removed' END
      FROM changed
     WHERE fate IN ('blank', 'removed')
    ON CONFLICT (id) DO NOTHING
), next AS MATERIALIZED (
    SELECT n.place
      FROM changed c
     CROSS JOIN LATERAL (SELECT n.ctid AS place, n.id
                           FROM attendee_relay.pending n
                          WHERE n.lane = c.lane AND n.id > c.id AND n.endpoint = c.endpoint
                          ORDER BY n.lane, n.id LIMIT 1) n
     WHERE c.fate <> 'secret' AND NOT EXISTS (SELECT FROM held other WHERE other.id = n.id AND other.fate <> 'secret')
), let_go AS (
    UPDATE attendee_relay.pending p
       SET due_at = now()
      FROM next n
     WHERE p.ctid = n.place AND NOT p.retry AND p.due_at > now()
)
SELECT id, fate FROM changed
