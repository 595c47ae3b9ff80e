-- Whether a commit of the bookkeeping waits for a synchronous standby, and whether one of its statements is running,
-- that is, not waiting for a lock or for the client. A role sees this of its own sessions (PostgreSQL 14-18).
SELECT count(*) FILTER (WHERE a.wait_event OPERATOR(pg_catalog.=) 'SyncRep') OPERATOR(pg_catalog.>) 0,
       count(*) FILTER (WHERE a.wait_event_type IS NULL
                        OR a.wait_event_type OPERATOR(pg_catalog.<>) ALL ('{Lock,Client}'))
           OPERATOR(pg_catalog.>) 0
  FROM pg_catalog.pg_stat_activity a
 WHERE a.application_name OPERATOR(pg_catalog.=) $1
   AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
   AND a.usename OPERATOR(pg_catalog.=) CURRENT_USER
   AND a.state OPERATOR(pg_catalog.=) 'active'
