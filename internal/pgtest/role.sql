-- The relay's role, as in the README.
CREATE ROLE attendee_relay LOGIN REPLICATION PASSWORD 'of-the-tests-alone';
