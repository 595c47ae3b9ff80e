-- Applies the results of attempts to their endpoints: whether one was answered with a 2xx, how many failed after the
-- last of those, whether one was answered 410, whether the probe of a pause was among them, and how long the receiver
-- asks to be left alone. After $7 failures in a row an endpoint is paused; the first wait before a probe is $8, and
-- each further one is twice as long, up to 15 minutes, +- 20 %. An answered probe ends the pause; for $9 the endpoint
-- then recovers, and a failure pauses it again. Rows are locked in one order. Returns each as it was and as it is.
WITH told AS MATERIALIZED (
    SELECT t.*
      FROM unnest($1::uuid[], $2::boolean[], $3::int[], $4::boolean[], $5::boolean[], $6::text[], $10::text[])
           AS t (id, answered, failures, gone, probed, error, wait)
), locked AS MATERIALIZED (
    SELECT e.id, e.state, e.failures, e.proven
      FROM attendee_relay.endpoint e
     WHERE e.id = ANY (ARRAY(SELECT id FROM told))
     ORDER BY e.id
       FOR UPDATE
)
UPDATE attendee_relay.endpoint e
   SET (state, since, failures, proven, probe_wait, probe_at, look_at, last_error) = (
       SELECT n.state,
              CASE WHEN n.state = e.state AND (n.state <> 'active' OR (f.failures > 0) = (e.failures > 0)) THEN e.since
                   ELSE now() END,
              f.failures,
              e.proven OR t.answered,
              w.probe_wait,
              CASE WHEN n.state <> 'paused' THEN NULL
                   WHEN e.state <> 'paused' OR t.probed
                   THEN now() + greatest(w.probe_wait * (0.8 + 0.4 * random()), t.wait::interval)
                   ELSE e.probe_at END,
              CASE WHEN n.state = e.state THEN e.look_at
                   WHEN n.state IN ('paused', 'disabled') THEN now() + $8::text::interval END,
              coalesce(t.error, e.last_error)
         FROM (SELECT t.failures + CASE WHEN t.answered THEN 0 ELSE e.failures END AS failures,
                      CASE WHEN e.state = 'recovering' AND e.since <= now() - $9::text::interval THEN 'active'
                           ELSE e.state END AS state) f
        CROSS JOIN LATERAL (
              SELECT CASE WHEN t.gone OR f.state = 'disabled' THEN 'disabled'
                          WHEN f.state = 'paused' AND t.answered AND t.failures = 0 THEN 'recovering'
                          WHEN f.state = 'paused' OR f.state = 'recovering' AND t.failures > 0
                               OR f.failures >= $7::int THEN 'paused'
                          ELSE f.state END AS state) n
        CROSS JOIN LATERAL (
              SELECT CASE WHEN n.state IN ('active', 'disabled') THEN NULL
                          WHEN n.state = 'paused' AND e.state = 'paused' AND t.probed
                          THEN least(2 * e.probe_wait, greatest($8::text::interval, interval '15 minutes'))
                          WHEN f.state = 'active' THEN $8::text::interval
                          ELSE coalesce(e.probe_wait, $8::text::interval) END AS probe_wait) w)
  FROM told t
  JOIN locked l ON l.id = t.id
 WHERE e.id = t.id
RETURNING e.id, e.webhook_url, l.state, l.failures::bigint, l.proven, e.state, e.failures::bigint,
          e.proven, e.last_error
