-- These claimed messages are not sent yet: an older one of the same attendee goes to their endpoint first.
UPDATE attendee_relay.pending p
   SET lease = NULL, lease_ends = NULL, due_at = now() + interval '1 second'
  FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS t (id, endpoint, lease)
 WHERE p.endpoint = t.endpoint AND p.id = t.id AND p.lease = t.lease
