-- The pending messages on a part of the pages, in percent; the same pages each time.
SELECT count(*)::float8 FROM attendee_relay.pending TABLESAMPLE system (coalesce($1::float8, 0)) REPEATABLE (0)
