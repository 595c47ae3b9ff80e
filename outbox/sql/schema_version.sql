-- Makes the table of the schema's version where it is missing, with a primary key: in another tool's FOR ALL TABLES
-- publication, a table without one cannot be updated.
CREATE TABLE IF NOT EXISTS attendee_relay.schema_version (version int4 PRIMARY KEY)
