-- The settled messages on a part of the pages, in percent, and how many of them are dead and skipped; the same pages
-- each time.
SELECT count(*)::float8, count(*) FILTER (WHERE state = 'dead')::float8,
       count(*) FILTER (WHERE state = 'skipped')::float8
  FROM attendee_relay.settled TABLESAMPLE system (coalesce($1::float8, 0)) REPEATABLE (0)
