-- What a publication does with one table. pubviaroot decides under which name a partition's rows arrive.
SELECT p.oid,
       p.puballtables,
       p.pubviaroot,
       p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate,
       t.tablename IS NOT NULL,
       coalesce(to_jsonb(t) ->> 'rowfilter', '') <> ''
  FROM pg_catalog.pg_publication p
  LEFT JOIN pg_catalog.pg_publication_tables t
         ON t.pubname = p.pubname AND t.schemaname = $2 AND t.tablename = $3
 WHERE p.pubname = $1
