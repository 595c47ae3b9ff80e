-- Waiting acceptances of the rows that the transaction touched go where those are now, and are evaluated at once.
UPDATE attendee_relay.acceptance a
   SET row_identity = s.identity,
       source_key = coalesce(s.source_key, a.source_key),
       next_evaluation_at = now(),
       revision = a.revision + 1
  FROM attendee_relay.spool s
 WHERE a.state = 'waiting' AND s.origin = a.row_identity
