-- These acceptances are evaluated again later, or have turned out empty.
UPDATE attendee_relay.acceptance a
   SET evaluations = a.evaluations + 1,
       next_evaluation_at = now() + l.wait::interval,
       last_error = l.reason,
       state = CASE WHEN l.empty THEN 'empty' ELSE a.state END
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[]) AS l (id, wait, reason, empty)
 WHERE a.id = l.id AND a.state = 'waiting'
