-- SOURCE_KEY may be any column, and its values longer than a btree's entry may be. Keys are looked up by equality only.
DROP INDEX attendee_relay.acceptance_key;
CREATE INDEX acceptance_key ON attendee_relay.acceptance USING hash (source_key) WHERE state = 'waiting';
DROP INDEX attendee_relay.spool_departed;
CREATE INDEX spool_departed ON attendee_relay.spool
    USING hash ((CASE key_kind WHEN 2 THEN source_key WHEN 0 THEN ledger_key END)) WHERE gone AND was_accepted;
