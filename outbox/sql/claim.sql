-- Takes due messages under a fresh lease, if the bookkeeping is this database's and deployment's ($7) and not ahead of
-- its WAL: a copy sends nothing.
--
-- Endpoint by endpoint, each for itself: it looks at no more of an endpoint's messages than the endpoint has places
-- for, so that the backlog of one neither hides the others nor is read again and again. An endpoint has $3 places, and
-- $11 more in line if it is well, less what the claimer holds already ($5), and one if its last attempt failed, or if
-- it comes back after a pause and the claimer does not say what is in flight; where it does, it knows of the slower
-- pace that the endpoint has for $9. Those without a 2xx since their last failure, or ever, are on trial: all together
-- have $8 places, and more than one each only in the first $10 of them. First attempts go before retries, and every
-- endpoint's first message before anybody's second. Of an attendee's messages to one endpoint only the oldest is taken,
-- so that they keep their order.
--
-- Where there are many more places than messages to take, each endpoint that is well shows its share and as much again
-- to choose from: as many as that are its places then.
--
-- Of bodies longer than $12 it takes as many as have $13 bytes together, or one, however long, if $14: what is
-- claimed is held in memory.
--
-- Each step is a loop over an index, whatever the statistics say: they are older than the backlog that has to be
-- claimed.
WITH RECURSIVE ours AS (
    SELECT FROM attendee_relay.own_books WHERE deployment = $7
), waiting AS (
    (SELECT p.endpoint FROM attendee_relay.pending p WHERE EXISTS (SELECT FROM ours) ORDER BY p.endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT p.endpoint FROM attendee_relay.pending p WHERE p.endpoint > w.endpoint ORDER BY p.endpoint LIMIT 1)
      FROM waiting w
     WHERE w.endpoint IS NOT NULL
), endpoint AS MATERIALIZED (
    SELECT w.endpoint,
           coalesce(b.held, 0) AS held,
           NOT k.proven AS trial,
           k.recovering,
           CASE WHEN k.failing THEN 1 WHEN k.well THEN $3::int + coalesce(b.ahead, 0) ELSE $3::int END AS places
      FROM waiting w
      LEFT JOIN unnest($4::uuid[], $5::int[], $11::int[]) AS b (endpoint, held, ahead) ON b.endpoint = w.endpoint
     CROSS JOIN LATERAL (
           SELECT coalesce(bool_and(e.state IN ('active', 'recovering')), true) AS open,
                  coalesce(bool_and(e.proven AND e.failures = 0), false) AS proven,
                  coalesce(bool_and(e.proven AND e.failures = 0 AND e.state = 'active'), false) AS well,
                  coalesce(bool_or(e.failures > 0 OR r.recovering AND b.held IS NULL), false) AS failing,
                  max(extract(epoch FROM now() - e.since)::float8) FILTER (WHERE r.recovering) AS recovering
             FROM attendee_relay.endpoint e
            CROSS JOIN LATERAL (SELECT e.state = 'recovering' AND e.since > now() - $9::text::interval AS recovering) r
            WHERE e.id = w.endpoint) k
     WHERE w.endpoint IS NOT NULL AND k.open
), open AS MATERIALIZED (
    SELECT e.*, r.room
      FROM endpoint e
     CROSS JOIN LATERAL (SELECT least(e.places - e.held, $1::int,
                                      CASE WHEN e.trial THEN $10::int + (e.held = 0)::int END) AS room) r
     WHERE r.room > 0
), share AS MATERIALIZED (
    SELECT CASE WHEN (SELECT sum(room) FROM open) <= 4 * $1::int THEN $1::int
                ELSE greatest(1, 2 * $1::int
                       / (SELECT greatest(1, count(*))
                            FROM (SELECT FROM open o
                                   WHERE NOT o.trial
                                     AND ((SELECT p.id FROM attendee_relay.pending p
                                            WHERE p.endpoint = o.endpoint AND NOT p.retry AND p.due_at <= now()
                                              AND (p.lease_ends <= now()) IS NOT FALSE
                                            ORDER BY p.endpoint, p.retry, p.due_at LIMIT 1) IS NOT NULL
                                          OR (SELECT p.id FROM attendee_relay.pending p
                                               WHERE p.endpoint = o.endpoint AND p.retry AND p.due_at <= now()
                                                 AND (p.lease_ends <= now()) IS NOT FALSE
                                               ORDER BY p.endpoint, p.retry, p.due_at LIMIT 1) IS NOT NULL)
                                   LIMIT 2 * $1::int) due)) END AS most
), candidate AS MATERIALIZED (
    SELECT e.trial, c.place, c.retry, c.due_at, c.id,
           e.held + row_number() OVER (PARTITION BY e.endpoint ORDER BY c.retry, c.due_at, c.id) AS turn
      FROM (SELECT o.endpoint, o.trial, o.held, CASE WHEN o.trial THEN o.room ELSE least(o.room, s.most) END AS room
              FROM open o
             CROSS JOIN share s) e
     CROSS JOIN LATERAL (
           (SELECT p.ctid AS place, p.retry, p.due_at, p.id
              FROM attendee_relay.pending p
             WHERE p.endpoint = e.endpoint AND NOT p.retry AND p.due_at <= now()
               AND (p.lease_ends <= now()) IS NOT FALSE
               AND (SELECT older.id FROM attendee_relay.pending older
                     WHERE older.lane = p.lane AND older.id < p.id AND older.endpoint = p.endpoint
                     ORDER BY older.lane, older.id LIMIT 1) IS NULL
             ORDER BY p.endpoint, p.retry, p.due_at, p.id
             LIMIT e.room)
           UNION ALL
           (SELECT p.ctid, p.retry, p.due_at, p.id
              FROM attendee_relay.pending p
             WHERE p.endpoint = e.endpoint AND p.retry AND p.due_at <= now() AND (p.lease_ends <= now()) IS NOT FALSE
               AND (SELECT older.id FROM attendee_relay.pending older
                     WHERE older.lane = p.lane AND older.id < p.id AND older.endpoint = p.endpoint
                     ORDER BY older.lane, older.id LIMIT 1) IS NULL
             ORDER BY p.endpoint, p.retry, p.due_at, p.id
             LIMIT e.room)
           LIMIT e.room) c
), chosen AS MATERIALIZED (
    SELECT c.place, c.id, c.retry, c.turn, c.due_at
      FROM (SELECT c.*, row_number() OVER (PARTITION BY c.trial ORDER BY c.retry, c.turn, c.due_at, c.id) AS position
              FROM candidate c) c
     WHERE NOT c.trial OR c.position <= CASE c.turn WHEN 1 THEN $8::int ELSE $10::int END
     ORDER BY c.retry, c.turn, c.due_at, c.id
     LIMIT $1::int
), fitting AS MATERIALIZED (
    SELECT s.place
      FROM (SELECT c.place, c.size, sum(c.size) OVER (ORDER BY c.retry, c.turn, c.due_at, c.id) AS total
              FROM (SELECT c.*, CASE WHEN m.size > $12::int THEN m.size ELSE 0 END AS size
                      FROM chosen c
                     CROSS JOIN LATERAL (SELECT octet_length(m.payload) AS size
                                           FROM attendee_relay.message m
                                          WHERE m.id = c.id
                                          ORDER BY m.id LIMIT 1) m) c) s
     WHERE s.size = 0 OR s.total <= $13::int OR $14::boolean AND s.total = s.size
), locked AS MATERIALIZED (
    SELECT p.ctid AS place
      FROM attendee_relay.pending p
     WHERE p.ctid = ANY (ARRAY(SELECT place FROM fitting))
       AND p.due_at <= now() AND (p.lease_ends <= now()) IS NOT FALSE
       FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE attendee_relay.pending p
       SET lease = $6::uuid, lease_ends = now() + $2::text::interval
     WHERE p.ctid = ANY (ARRAY(SELECT place FROM locked))
    RETURNING p.id, p.endpoint, p.lane, p.attempts, p.step, p.retry
)
SELECT l.id, m.message_id, l.endpoint, m.webhook_url,
       coalesce(m.secret, ''), m.had_secret OR m.secret IS NOT NULL, coalesce(m.headers, ''),
       coalesce(m.payload, ''), l.attempts, l.step, m.committed_at, l.retry, e.trial, coalesce(e.recovering, -1),
       CASE WHEN e.trial THEN e.places ELSE least(e.places, e.held + (SELECT most FROM share)) END,
       EXISTS (SELECT FROM attendee_relay.pending older
                CROSS JOIN LATERAL (SELECT o.commit_lsn, o.identity FROM attendee_relay.message o
                                     WHERE o.id = older.id ORDER BY o.id LIMIT 1) o
                WHERE older.lane = l.lane AND older.id < l.id
                  -- Those of the same acceptance are for other webhooks.
                  AND (o.commit_lsn <> m.commit_lsn OR o.identity <> m.identity)),
       extract(epoch FROM now() - m.created_at)::float8
  FROM leased l
  JOIN endpoint e ON e.endpoint = l.endpoint
 CROSS JOIN LATERAL (SELECT m.message_id, m.webhook_url, m.secret, m.had_secret, m.headers,
                            m.payload, m.committed_at, m.created_at,
                              m.commit_lsn, m.identity
                       FROM attendee_relay.message m
                      WHERE m.id = l.id
                      ORDER BY m.id LIMIT 1) m
