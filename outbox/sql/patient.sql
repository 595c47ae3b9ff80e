-- The transaction under way may stand still for as long as $1, in milliseconds.
SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', $1::bigint::text, true)
