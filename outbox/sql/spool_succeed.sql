-- Waiting acceptances of deleted rows go to the rows that continue them, and are evaluated at once.
UPDATE attendee_relay.acceptance a
   SET row_identity = t.successor, source_key = t.source_key, next_evaluation_at = now(), revision = a.revision + 1
  FROM unnest($1::text[], $2::text[], $3::text[]) AS t (identity, successor, source_key)
 WHERE a.state = 'waiting' AND a.row_identity = t.identity
