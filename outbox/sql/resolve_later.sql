-- These acceptances are evaluated again later, or have turned out empty; not those whose row has changed meanwhile, nor
-- before they have followed their rows in a large transaction.
UPDATE attendee_relay.acceptance a
   SET evaluations = a.evaluations + 1,
       next_evaluation_at = now() + l.wait::interval,
       last_error = l.reason,
       empty_since = CASE WHEN l.reason IS NULL THEN coalesce(a.empty_since, now()) ELSE a.empty_since END,
       state = CASE WHEN l.empty THEN 'empty' ELSE a.state END
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::int[]) AS l (id, wait, reason, empty, revision)
 WHERE a.id = l.id AND a.state = 'waiting' AND a.revision = l.revision
   AND NOT EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step NOT IN ('add', 'clear'))
