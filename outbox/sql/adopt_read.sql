-- Which deployment the bookkeeping belongs to, its settings, the identity of this database, and what waits to be sent.
SELECT c.system_id, c.database, c.deployment, c.source, c.lsn > '0/0', c.lsn::text,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       pg_catalog.current_database()::text,
       pg_catalog.pg_current_wal_insert_lsn()::text,
       c.lsn > pg_catalog.pg_current_wal_insert_lsn(),
       (SELECT count(*) FROM attendee_relay.pending),
       (SELECT count(*) FROM attendee_relay.acceptance WHERE state = 'waiting')
  FROM attendee_relay.checkpoint c
