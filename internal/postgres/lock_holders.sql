-- Who holds us up: the objects that sessions of ours, whose names begin with $1, wait for at this moment; and who has,
-- or waits for, a lock on a table of ours or on one of these names ($2) that keeps us out. A plain role sees all of
-- this of other roles' sessions (PostgreSQL 14-18). Process 0 is a prepared transaction.
WITH ours AS MATERIALIZED (
    SELECT a.pid
      FROM pg_catalog.pg_stat_activity a
     WHERE a.datname = pg_catalog.current_database() AND a.usename = CURRENT_USER
       AND pg_catalog.starts_with(a.application_name, $1)
), held AS MATERIALIZED (
    SELECT l.pid, l.relation, l.locktype, l.mode, l.granted
      FROM pg_catalog.pg_locks l
     WHERE l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
        OR l.database IS NULL
), waiting AS (
    SELECT coalesce(w.relation,
                    (SELECT max(t.relation) FROM held t WHERE t.pid = w.pid AND t.locktype = 'tuple')) AS relation,
           blocker.pid
      FROM held w
      JOIN ours o ON o.pid = w.pid
     CROSS JOIN LATERAL unnest(pg_catalog.pg_blocking_pids(w.pid)) AS blocker (pid)
     WHERE NOT w.granted
), barred AS (
    SELECT h.relation, coalesce(h.pid, 0) AS pid
      FROM held h
      JOIN pg_catalog.pg_class c ON c.oid = h.relation
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE h.locktype = 'relation' AND h.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
       AND NOT EXISTS (SELECT FROM ours o WHERE o.pid = h.pid)
       AND (n.nspname = 'attendee_relay'
            AND h.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
            OR c.relname = ANY ($2::text[]) AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            AND h.mode = 'AccessExclusiveLock')
)
SELECT coalesce(pg_catalog.format('%I.%I', n.nspname, c.relname), ''), b.pid,
       coalesce(a.application_name, ''), coalesce(a.usename::text, ''),
       EXISTS (SELECT FROM held w WHERE w.pid = b.pid AND NOT w.granted)
  FROM (TABLE waiting UNION TABLE barred) AS b (relation, pid)
  LEFT JOIN pg_catalog.pg_class c ON c.oid = b.relation
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
 ORDER BY 1 DESC, 2
 LIMIT 3
