-- What is in the outbox, by state, how long the oldest pending message has been due for its first attempt, and the endpoints by
-- state.
SELECT (SELECT count(*) FROM attendee_relay.pending),
       (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (SELECT state, count(*) AS n FROM attendee_relay.settled GROUP BY state) s),
       (SELECT coalesce(extract(epoch FROM now() - min(m.created_at)), 0)::float8
          FROM attendee_relay.message m
         WHERE m.id = (SELECT min(id) FROM attendee_relay.pending)),
       (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (SELECT state, count(*) AS n FROM attendee_relay.endpoint GROUP BY state) e)
