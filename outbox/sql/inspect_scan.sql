-- Whether reading all of a relation ($1 schema, $2 name) matters: it is the watched table ($3) or a part of it, or it
-- and what belongs to the same partitioned table have more bytes than $4.
SELECT format('%I.%I', tn.nspname, t.relname),
       t.oid = $3 OR coalesce((SELECT sum(pg_catalog.pg_relation_size(p.relid))
                                 FROM pg_catalog.pg_partition_tree(t.oid) p),
                              pg_catalog.pg_relation_size(c.oid)) > $4,
       t.relkind = 'p'
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = coalesce(pg_catalog.pg_partition_root(c.oid), c.oid)
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2
