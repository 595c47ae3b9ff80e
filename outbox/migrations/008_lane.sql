-- A backlog of millions takes longer than a session's statements otherwise may.
SET LOCAL statement_timeout = 0;

-- The lane of an attendee's messages: they are sent in order. Where attendees are numbered it is the number, so that those who register one
-- after the other are neighbours in the index of lanes, and what is new goes to its end instead of to pages all over it. Two attendees may
-- share a lane: they wait for each other, no more.
CREATE FUNCTION attendee_relay.lane(attendee_id text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN attendee_id ~ '^[0-9]{1,18}$' THEN attendee_id::bigint ELSE pg_catalog.hashtextextended(attendee_id, 0) END;

UPDATE attendee_relay.pending p
   SET lane = attendee_relay.lane(m.attendee_id)
  FROM attendee_relay.message m
 WHERE m.id = p.id AND p.lane <> attendee_relay.lane(m.attendee_id);
