-- How many rows the application has written so far, in tables that are not the relay's. Everybody may read this.
SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint
  FROM pg_catalog.pg_stat_user_tables
 WHERE schemaname <> 'attendee_relay'
