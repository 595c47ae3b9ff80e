-- At rest only 'empty' acceptances are there, and statistics gathered then say that next to nothing waits or is due. A large
-- transaction makes a million waiting ones at once, and plans made by those statistics would compare each with each.
ALTER TABLE attendee_relay.acceptance
    ALTER COLUMN state SET STATISTICS 0,
    ALTER COLUMN next_evaluation_at SET STATISTICS 0;
