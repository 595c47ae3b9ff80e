ALTER TABLE attendee_relay.message
    -- The endpoint that it was recorded with, once it goes to another; NULL: still the same.
    ADD COLUMN recorded uuid,
    -- The attempts that had been made when it came to its endpoint.
    ADD COLUMN attempts_elsewhere int NOT NULL DEFAULT 0;

ALTER TABLE attendee_relay.pending
    -- How many times in a row the payload query gave no row for it. Its due_at is then when the query is asked again.
    ADD COLUMN unanswered int NOT NULL DEFAULT 0;
