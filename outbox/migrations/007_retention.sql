-- How far bodies have been erased and rows deleted, in the order in which messages were written. One row; whoever cleans up
-- locks it.
CREATE TABLE attendee_relay.retention (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    erased     bigint NOT NULL DEFAULT 0,
    deleted    bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO attendee_relay.retention DEFAULT VALUES;

-- Erasing writes each row once more. With this much free on each page it stays on its page, and no index is written.
ALTER TABLE attendee_relay.message SET (fillfactor = 95);
ALTER TABLE attendee_relay.exchange SET (fillfactor = 95);
