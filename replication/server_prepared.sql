-- How many prepared transactions are open, and the statements that end the oldest ten.
SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts),
       coalesce((SELECT pg_catalog.string_agg(pg_catalog.format('ROLLBACK PREPARED %L', oldest.gid), '; '
                                              ORDER BY oldest.prepared)
                   FROM (SELECT x.gid, x.prepared FROM pg_catalog.pg_prepared_xacts x
                          ORDER BY x.prepared LIMIT 10) AS oldest), '')
