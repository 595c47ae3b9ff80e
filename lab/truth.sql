-- The messages that must be in the outbox and are not, and those that are there and should not be. An acceptance is
-- identified by the id that the attendee had when it was accepted (its key in the outbox is the one under which the
-- payload was read), by commit time and by endpoint. An acceptance whose payload rightly never came counts like its
-- messages.
WITH truth AS (
    SELECT t.attendee::text AS identity, pg_catalog.pg_xact_commit_timestamp(t.xid::xid) AS at, h.url
      FROM lab.truth t
      JOIN lab.hooks h USING (event)
), outbox AS (
    SELECT identity, committed_at, webhook_url
      FROM attendee_relay.message
     UNION ALL
    SELECT a.identity, a.committed_at, h.url
      FROM attendee_relay.acceptance a
      JOIN lab.hooks h ON h.event = (SELECT t.event FROM lab.truth t WHERE t.attendee = a.identity::bigint LIMIT 1)
     WHERE a.state = 'empty'
       AND lab.may_be_empty(a.identity::bigint, coalesce(a.committed_at, a.created_at), a.empty_since)
)
(SELECT 'lost' AS what, * FROM (TABLE truth EXCEPT ALL TABLE outbox) AS lost)
UNION ALL
(SELECT 'repeated', * FROM (TABLE outbox EXCEPT ALL TABLE truth) AS repeated)
ORDER BY 3, 2, 4
