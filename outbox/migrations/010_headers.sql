ALTER TABLE attendee_relay.message
    -- What the row of the payload query adds to the request: a JSON object. It is a secret, and erased with the body.
    ADD COLUMN headers text,
    -- The row had a secret before: the message is never sent unsigned.
    ADD COLUMN had_secret boolean NOT NULL DEFAULT false;
