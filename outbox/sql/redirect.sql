-- Applies the payload query's answers to messages ($3): they move (to $4 and $5, with the secret $6 and the headers
-- $7), have no URL any more (blank), lost their endpoint (removed), are about a row that is no longer accepted
-- (withdrawn), got no row (unanswered), or got none before and the query fails now (unknown). An answer counts only
-- under the lease that the message was claimed with, or, without one ($2 NULL), if it has none.
--
-- What is not known before the rows are locked is decided here. A message that would go where another of the same
-- acceptance and attendee went or goes is one too many: its endpoint was removed. So is one that would come after a
-- later message of the attendee (passed); while such a one is in flight there, it waits for the outcome (held). Without
-- a row it is asked again by the retry schedule ($8), unless that is not due yet (early), and at the end of the
-- schedule it ends (silent).
--
-- lease_lock.sql has locked the rows; a row that became free only since is taken if nobody else has it. Each is looked
-- up on its own and reached by its place, as in settle_delivered.sql. Everything written about a message follows from
-- its row in pending: for a row that changed a moment ago nothing is written, and the message comes again.
WITH told AS (
    SELECT t.*
      FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[])
           AS t (id, lease, fate, webhook_url, target, secret, headers)
     ORDER BY t.id
), obtained AS MATERIALIZED (
    SELECT t.id, t.lease, t.webhook_url, t.target, t.secret, t.headers, m.message_id, m.endpoint, m.recorded,
           m.attendee_id, m.commit_lsn, m.identity, p.place, p.lane, p.attempts, p.last_status, p.unanswered,
           CASE WHEN t.fate = 'move' AND t.target = m.endpoint THEN 'secret'
                WHEN t.fate = 'move' AND EXISTS (
                     SELECT FROM attendee_relay.message other
                      WHERE other.attendee_id = m.attendee_id AND other.commit_lsn = m.commit_lsn
                        AND other.identity = m.identity
                        AND other.id <> m.id AND t.target IN (other.endpoint, other.recorded)
                        AND coalesce(other.recorded, other.endpoint) <> m.recorded) THEN 'removed'
                WHEN t.fate = 'move' AND l.sent THEN 'passed'
                WHEN t.fate = 'move' AND l.flying THEN 'held'
                WHEN t.fate = 'unanswered' AND p.unanswered > 0 AND p.due_at > now() THEN 'early'
                WHEN t.fate = 'unanswered' AND p.unanswered >= cardinality($8::text[]) THEN 'silent'
                ELSE t.fate END AS wanted
      FROM told t
     CROSS JOIN LATERAL (SELECT m.id, m.message_id, m.endpoint, coalesce(m.recorded, m.endpoint) AS recorded,
                                m.attendee_id, m.commit_lsn, m.identity
                           FROM attendee_relay.message m WHERE m.id = t.id ORDER BY m.id LIMIT 1) m
     CROSS JOIN LATERAL (SELECT p.ctid AS place, p.lane, p.attempts, p.last_status, p.unanswered, p.due_at
                           FROM attendee_relay.pending p
                          WHERE (p.endpoint, p.id) BETWEEN (m.endpoint, m.id) AND (m.endpoint, m.id)
                            AND CASE WHEN t.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE
                                     ELSE p.lease = t.lease END
                          ORDER BY p.endpoint, p.id LIMIT 1
                            FOR UPDATE SKIP LOCKED) p
     CROSS JOIN LATERAL (
           -- Later acceptances of the attendee at the endpoint that it would go to.
           SELECT coalesce(bool_or(coalesce(w.attempts, s.attempts, 0) > later.attempts_elsewhere), false) AS sent,
                  coalesce(bool_or(w.lease_ends > now()), false) AS flying
             FROM attendee_relay.message later
             LEFT JOIN LATERAL (SELECT w.attempts, w.lease_ends
                                  FROM attendee_relay.pending w
                                 WHERE (w.endpoint, w.id)
                                       BETWEEN (later.endpoint, later.id) AND (later.endpoint, later.id)
                                 ORDER BY w.endpoint, w.id LIMIT 1) w ON true
             LEFT JOIN LATERAL (SELECT s.attempts FROM attendee_relay.settled s
                                 WHERE s.id = later.id ORDER BY s.id LIMIT 1) s ON true
            WHERE t.fate = 'move' AND later.attendee_id = m.attendee_id AND later.id > m.id
              AND later.endpoint = t.target
              AND (later.commit_lsn <> m.commit_lsn OR later.identity <> m.identity)) l
), held AS MATERIALIZED (
    SELECT o.*,
           CASE WHEN o.wanted = 'move'
                 AND first_value(o.recorded)
                     OVER (PARTITION BY o.wanted, o.attendee_id, o.commit_lsn, o.identity, o.target ORDER BY o.id)
                     <> o.recorded THEN 'removed'
                ELSE o.wanted END AS fate
      FROM obtained o
), moved AS (
    UPDATE attendee_relay.pending p
       SET endpoint = h.target, lease = NULL, lease_ends = NULL, due_at = now(), unanswered = 0,
           -- It is asked for once more before it is sent.
           retry = true
      FROM held h
     WHERE p.ctid = h.place AND h.fate = 'move'
       AND CASE WHEN h.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = h.lease END
    RETURNING h.id
), put_off AS (
    UPDATE attendee_relay.pending p
       SET lease = NULL, lease_ends = NULL, retry = true,
           unanswered = p.unanswered + (h.fate = 'unanswered')::int,
           due_at = CASE h.fate WHEN 'unanswered'
                                THEN now() + ($8::text[])[p.unanswered + 1]::interval * (0.8 + 0.4 * random())
                                WHEN 'held' THEN now() + interval '1 second'
                                WHEN 'unknown' THEN now() + interval '30 seconds'
                                ELSE p.due_at END
      FROM held h
     WHERE p.ctid = h.place AND h.fate IN ('unanswered', 'early', 'held', 'unknown')
       AND CASE WHEN h.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = h.lease END
    RETURNING h.id
), answered AS (
    UPDATE attendee_relay.pending p
       SET unanswered = 0, due_at = least(p.due_at, now())
      FROM held h
     WHERE p.ctid = h.place AND h.fate = 'secret' AND h.unanswered > 0
       AND CASE WHEN h.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = h.lease END
), ended AS (
    DELETE FROM attendee_relay.pending p
     USING held h
     WHERE p.ctid = h.place AND h.fate IN ('blank', 'removed', 'passed', 'withdrawn', 'silent')
       AND CASE WHEN h.lease IS NULL THEN (p.lease_ends <= now()) IS NOT FALSE ELSE p.lease = h.lease END
    RETURNING h.id
), changed AS MATERIALIZED (
    SELECT h.* FROM held h
     WHERE h.fate = 'secret'
        OR h.id IN (SELECT id FROM moved UNION ALL SELECT id FROM put_off UNION ALL SELECT id FROM ended)
), rewritten AS (
    UPDATE attendee_relay.message m
       SET webhook_url = c.webhook_url, endpoint = c.target, secret = c.secret, headers = c.headers,
           had_secret = m.had_secret OR m.secret IS NOT NULL,
           recorded = CASE c.fate WHEN 'move' THEN c.recorded ELSE m.recorded END,
           attempts_elsewhere = CASE c.fate WHEN 'move' THEN c.attempts ELSE m.attempts_elsewhere END
      FROM changed c
     WHERE m.id = c.id AND (c.fate = 'move' OR c.fate = 'secret' AND m.endpoint = c.target)
), noted AS (
    INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status, last_error)
    SELECT id, CASE fate WHEN 'blank' THEN 'skipped' ELSE 'dead' END, now(), attempts, last_status,
           CASE fate WHEN 'blank' THEN 'no_url: the webhook_url was taken away, and DELIVERY_DEFAULT_URL is not set'
                     WHEN 'removed' THEN 'endpoint_removed: the payload query gives the endpoint no more'
                     WHEN 'passed'
                     THEN 'endpoint_removed: a later message of the attendee was sent to the URL that is given instead'
                     WHEN 'withdrawn' THEN 'withdrawn: the source row is no longer accepted'
                     ELSE 'withdrawn: the payload query gave no row for it until the end of DELIVERY_RETRY_SCHEDULE' END
      FROM changed
     WHERE id IN (SELECT id FROM ended)
    ON CONFLICT (id) DO NOTHING
), probes AS (
    -- A probe among them was not sent: the endpoint gets another one soon.
    UPDATE attendee_relay.endpoint e
       SET probe_at = least(e.probe_at, now() + interval '1 second')
     WHERE e.id = ANY (ARRAY(SELECT paused.id
                               FROM attendee_relay.endpoint paused
                              WHERE paused.state = 'paused'
                                AND paused.id = ANY (ARRAY(SELECT endpoint FROM changed
                                                            WHERE fate <> 'secret' AND lease IS NOT NULL))
                              ORDER BY paused.id
                                FOR UPDATE))
), next AS MATERIALIZED (
    SELECT n.place
      FROM changed c
     CROSS JOIN LATERAL (SELECT n.ctid AS place, n.id
                           FROM attendee_relay.pending n
                          WHERE n.lane = c.lane AND n.id > c.id AND n.endpoint = c.endpoint
                          ORDER BY n.lane, n.id LIMIT 1) n
     WHERE c.id IN (SELECT id FROM moved UNION ALL SELECT id FROM ended)
       AND NOT EXISTS (SELECT FROM held other WHERE other.id = n.id AND other.fate <> 'secret')
), let_go AS (
    UPDATE attendee_relay.pending p
       SET due_at = now()
      FROM next n
     WHERE p.ctid = n.place AND NOT p.retry AND p.due_at > now()
)
SELECT id, fate, message_id, endpoint FROM changed
