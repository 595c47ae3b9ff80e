-- The next rows that were accepted leave the ledger, under the identity that they had when the transaction began; after
-- the last of them comes the next step.
WITH next AS MATERIALIZED (
    SELECT number, origin
      FROM attendee_relay.spool
     WHERE number > $1 AND was_accepted
     ORDER BY number
     LIMIT $2
), removed AS (
    DELETE FROM attendee_relay.ledger WHERE identity = ANY (ARRAY(SELECT origin FROM next))
)
UPDATE attendee_relay.checkpoint
   SET spool_step = CASE WHEN EXISTS (SELECT FROM next) THEN 'remove' ELSE 'add' END,
       spool_cursor = coalesce((SELECT max(number) FROM next), 0)
