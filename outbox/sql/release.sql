-- These leased messages are not sent; whoever has a place for them may take them.
UPDATE attendee_relay.pending p
   SET lease = NULL, lease_ends = NULL
  FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS t (id, endpoint, lease)
 WHERE p.endpoint = t.endpoint AND p.id = t.id AND p.lease = t.lease
