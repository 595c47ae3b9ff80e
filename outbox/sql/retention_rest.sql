-- Deletes, older than $1 and at most $2 of each, acceptances that never had a message, and what is known of endpoints
-- that are well and have nothing to get: the next message finds out again. One that was disabled stays so.
WITH empty AS (
    DELETE FROM attendee_relay.acceptance
     WHERE id = ANY (ARRAY(SELECT id FROM attendee_relay.acceptance
                            WHERE state = 'empty' AND created_at < now() - $1::text::interval
                            ORDER BY id LIMIT $2::int))
    RETURNING id
), endpoints AS (
    DELETE FROM attendee_relay.endpoint
     WHERE id = ANY (ARRAY(SELECT e.id
                             FROM attendee_relay.endpoint e
                            WHERE e.state = 'active' AND e.since < now() - $1::text::interval
                              AND NOT EXISTS (SELECT FROM attendee_relay.pending p WHERE p.endpoint = e.id)
                            ORDER BY e.id LIMIT $2::int))
    RETURNING id
)
SELECT (SELECT count(*) FROM empty) + (SELECT count(*) FROM endpoints), ARRAY[]::text[]
