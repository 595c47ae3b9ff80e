-- An index of the rows that a large transaction moved. Where a row has not moved, the index of identities finds what it
-- was as well, so that most of the million rows of a large transaction need no second entry.
DROP INDEX attendee_relay.spool_origin;
CREATE INDEX spool_moved ON attendee_relay.spool (origin) WHERE origin <> identity;
