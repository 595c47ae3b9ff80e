-- Messages that a command has ended unsent. The leader takes them out as it logs and counts them: a command has no
-- metrics.
CREATE TABLE attendee_relay.untold (
    id      bigint PRIMARY KEY,
    -- A value of the label of attendee_relay_messages_unsent_total.
    reason  text NOT NULL
);
