-- The first start's checkpoint; a later start finds it there.
INSERT INTO attendee_relay.checkpoint (system_id, database, deployment, source, phase)
VALUES ($1, $2, $3, $4::jsonb, 'new')
    ON CONFLICT DO NOTHING
