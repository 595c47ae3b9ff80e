-- In another tool's FOR ALL TABLES publication, a table without a primary key cannot be updated. Earlier versions made this one so.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint
                    WHERE conrelid = 'attendee_relay.schema_version'::pg_catalog.regclass AND contype = 'p') THEN
        ALTER TABLE attendee_relay.schema_version ADD PRIMARY KEY (version);
    END IF;
END
$$;
