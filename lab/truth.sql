-- What must be in the outbox and is not, and what is there and should not be. A message is told by attendee, commit time
-- and endpoint.
WITH truth AS (
    SELECT t.attendee::text AS key, pg_catalog.pg_xact_commit_timestamp(t.xid::xid) AS at, h.url
      FROM lab.truth t
      JOIN lab.hooks h USING (event)
), outbox AS (
    SELECT source_key, committed_at, webhook_url
      FROM attendee_relay.outbox
)
(SELECT 'lost' AS what, * FROM (TABLE truth EXCEPT ALL TABLE outbox) AS lost)
UNION ALL
(SELECT 'repeated', * FROM (TABLE outbox EXCEPT ALL TABLE truth) AS repeated)
ORDER BY 3, 2, 4
