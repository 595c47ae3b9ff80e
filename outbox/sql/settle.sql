-- Records attempts and the outcomes of their messages. A 2xx settles whatever is still pending; any other outcome
-- counts only under the lease it was made with. settle_lock.sql has locked the rows, so this statement sees their
-- latest versions. Each is looked up on its own and reached by its place, as in settle_delivered.sql.
WITH told AS (
    SELECT t.*, m.endpoint
      FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[], $7::int[],
                  $8::int[], $9::text[], $10::text[])
           AS t (id, lease, state, wait, stepped, started_at, duration_ms, status, error, response)
     CROSS JOIN LATERAL (SELECT m.endpoint FROM attendee_relay.message m WHERE m.id = t.id ORDER BY m.id LIMIT 1) m
), once AS MATERIALIZED (
    SELECT DISTINCT ON (t.id) t.*
      FROM told t
      LEFT JOIN LATERAL (SELECT p.lease FROM attendee_relay.pending p
                          WHERE (p.endpoint, p.id) BETWEEN (t.endpoint, t.id) AND (t.endpoint, t.id)
                          ORDER BY p.endpoint, p.id LIMIT 1) p ON true
     ORDER BY t.id, t.state = 'delivered' DESC, p.lease = t.lease DESC NULLS LAST
), held AS MATERIALIZED (
    SELECT o.*, p.place, p.lane, p.attempts + 1 AS number, now() + o.wait::interval AS due_at
      FROM once o
     CROSS JOIN LATERAL (
           SELECT p.ctid AS place, p.lane, p.attempts
             FROM attendee_relay.pending p
            WHERE (p.endpoint, p.id) BETWEEN (o.endpoint, o.id) AND (o.endpoint, o.id)
              AND (o.state = 'delivered' OR p.lease = o.lease)
            ORDER BY p.endpoint, p.id LIMIT 1) p
), kept AS (
    UPDATE attendee_relay.pending p
       SET attempts = h.number, step = p.step + h.stepped::int, retry = p.retry OR h.stepped, due_at = h.due_at,
           lease = NULL, lease_ends = NULL, last_status = h.status, last_error = h.error
      FROM held h
     WHERE p.ctid = h.place AND h.state = 'pending'
    RETURNING h.id
), later AS MATERIALIZED (
    -- Of a row that two parts of a statement change, one change is lost: those told of themselves are left out.
    SELECT l.place, h.due_at
      FROM held h
     CROSS JOIN LATERAL (SELECT l.ctid AS place, l.id
                           FROM attendee_relay.pending l
                          WHERE l.lane = h.lane AND l.id > h.id AND l.endpoint = h.endpoint AND NOT l.retry
                            AND l.due_at < h.due_at
                          ORDER BY l.lane, l.id OFFSET 0) l
     WHERE h.state = 'pending' AND l.id <> ALL (ARRAY(SELECT id FROM held))
), held_up AS (
    -- Those that come after a message of the same attendee are not looked at before it is due again.
    UPDATE attendee_relay.pending p
       SET due_at = l.due_at
      FROM later l
     WHERE p.ctid = l.place AND NOT p.retry AND p.due_at < l.due_at
), ended AS (
    DELETE FROM attendee_relay.pending p
     USING held h
     WHERE p.ctid = h.place AND h.state <> 'pending'
    RETURNING h.id
), done AS MATERIALIZED (
    -- A row that the lock did not find, because it was being moved, may have changed since: nothing is said of it.
    SELECT h.* FROM held h WHERE h.id IN (SELECT id FROM kept UNION ALL SELECT id FROM ended)
), next AS MATERIALIZED (
    SELECT n.place
      FROM held h
     CROSS JOIN LATERAL (SELECT n.ctid AS place, n.id, n.retry, n.due_at
                           FROM attendee_relay.pending n
                          WHERE n.lane = h.lane AND n.id > h.id AND n.endpoint = h.endpoint
                          ORDER BY n.lane, n.id LIMIT 1) n
     WHERE h.state <> 'pending' AND NOT n.retry AND n.due_at > now() AND n.id <> ALL (ARRAY(SELECT id FROM held))
), let_go AS (
    UPDATE attendee_relay.pending p
       SET due_at = now()
      FROM next n
     WHERE p.ctid = n.place AND NOT p.retry AND p.due_at > now()
), noted AS (
    INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status, last_error)
    SELECT id, state, now(), number, status, error
      FROM done
     WHERE state <> 'pending'
    ON CONFLICT (id) DO NOTHING
), logged AS (
    INSERT INTO attendee_relay.exchange (message, number, started_at, duration_ms, status, error, response)
    SELECT id, number, started_at, duration_ms, status, error, response
      FROM done
    ON CONFLICT (message, number) DO NOTHING
)
SELECT count(*), coalesce(array_agg(id) FILTER (WHERE state = 'dead'), '{}') FROM done
