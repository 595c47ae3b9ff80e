-- Ends the last leader's writing session, if it is still open: it may be frozen inside a transaction that holds the
-- fence.
SELECT pg_catalog.pg_terminate_backend(a.pid)
  FROM attendee_relay.checkpoint c
  JOIN pg_catalog.pg_stat_activity a ON a.pid = c.leader_pid AND a.backend_start = c.leader_since
 WHERE a.pid <> pg_catalog.pg_backend_pid()
