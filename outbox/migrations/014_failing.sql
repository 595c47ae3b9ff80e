-- Acceptances that wait because their payload could not be made: counted while there are any, and few at most times.
CREATE INDEX acceptance_failing ON attendee_relay.acceptance (id) WHERE state = 'waiting' AND last_error IS NOT NULL;
