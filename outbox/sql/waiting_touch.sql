-- The rows of these waiting acceptances changed: they are evaluated again at once, wherever the rows are now.
UPDATE attendee_relay.acceptance a
   SET row_identity = t.row_identity, source_key = t.source_key, next_evaluation_at = now(), revision = a.revision + 1
  FROM unnest($1::bigint[], $2::text[], $3::text[]) AS t (id, row_identity, source_key)
 WHERE a.id = t.id AND a.state = 'waiting'
