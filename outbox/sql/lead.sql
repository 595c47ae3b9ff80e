-- Makes this session the leader's, and says where it goes on.
UPDATE attendee_relay.checkpoint
   SET epoch = epoch + 1,
       leader_pid = pg_catalog.pg_backend_pid(),
       leader_since = (SELECT backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid())
RETURNING epoch, phase, lsn::text, source
