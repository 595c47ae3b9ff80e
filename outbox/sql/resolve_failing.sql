-- How many acceptances wait because their payload could not be made, at most $1; of how many keys; and the first
-- error.
WITH failing AS (
    SELECT id, source_key, last_error
      FROM attendee_relay.acceptance
     WHERE state = 'waiting' AND last_error IS NOT NULL
     ORDER BY id
     LIMIT $1
)
SELECT count(*), count(DISTINCT source_key), coalesce((SELECT last_error FROM failing ORDER BY id LIMIT 1), '')
  FROM failing
