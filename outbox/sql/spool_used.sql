-- Deleted rows that an inserted one continues: no other may.
DELETE FROM attendee_relay.spool WHERE number = ANY ($1::bigint[])
