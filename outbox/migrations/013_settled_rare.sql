-- A backlog of millions takes longer than a session's statements otherwise may.
SET LOCAL statement_timeout = 0;

-- Of millions of messages few end otherwise than delivered: they are counted without looking at the others.
CREATE INDEX IF NOT EXISTS settled_rare ON attendee_relay.settled (state) WHERE state <> 'delivered';
