-- The first start's checkpoint. A later start finds it there and must not try: the insert would wait for a transaction
-- that has the row, also for that of a frozen leader that is being replaced.
INSERT INTO attendee_relay.checkpoint (system_id, database, deployment, source, phase)
SELECT $1::text, $2::text, $3::text, $4::jsonb, 'new'
 WHERE NOT EXISTS (SELECT FROM attendee_relay.checkpoint)
    ON CONFLICT DO NOTHING
