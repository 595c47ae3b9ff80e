-- What a publication does with one table. pubviaroot decides under which name a partition's rows arrive.
SELECT p.oid,
       p.puballtables,
       p.pubviaroot,
       p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate,
       t.tablename IS NOT NULL,
       coalesce(to_jsonb(t) ->> 'rowfilter', '') <> '',
       coalesce((SELECT r.oid FROM pg_catalog.pg_publication_rel r
                  WHERE r.prpubid = p.oid AND r.prrelid = to_regclass(format('%I.%I', $2::text, $3::text))), 0)::oid,
       p.xmin || ':' || coalesce((SELECT r.xmin::text FROM pg_catalog.pg_publication_rel r
                                   WHERE r.prpubid = p.oid AND r.prrelid = to_regclass(format('%I.%I', $2::text, $3::text))), ''),
       coalesce((SELECT format('%I.%I', o.schemaname, o.tablename)
                   FROM pg_catalog.pg_publication_tables o
                   JOIN pg_catalog.pg_class c ON c.oid = to_regclass(format('%I.%I', o.schemaname, o.tablename))
                  WHERE o.pubname = p.pubname
                    AND (c.relreplident = 'n'
                         OR c.relreplident = 'd'
                            AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i
                                             WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate))
                  LIMIT 1), '')
  FROM pg_catalog.pg_publication p
  LEFT JOIN pg_catalog.pg_publication_tables t
         ON t.pubname = p.pubname AND t.schemaname = $2 AND t.tablename = $3
 WHERE p.pubname = $1
