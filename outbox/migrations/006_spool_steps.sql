-- Two more steps of applying a spool: inserted rows take the place of the deleted ones that they continue, and waiting
-- acceptances follow their rows. A spool whose application an earlier version began has done neither in this way, or both.
DO $$
BEGIN
    IF EXISTS (SELECT FROM attendee_relay.checkpoint WHERE spool_step IS NOT NULL) THEN
        RAISE EXCEPTION 'an earlier version has recorded half of a large transaction: let it run until spool_step in attendee_relay.checkpoint is NULL, then upgrade';
    END IF;
END
$$;

ALTER TABLE attendee_relay.checkpoint
    DROP CONSTRAINT checkpoint_spool_step_check,
    ADD CONSTRAINT checkpoint_spool_step_check
        CHECK (spool_step IN ('remove', 'empty_ledger', 'succeed', 'follow', 'add', 'clear')),
    -- When the last TRUNCATE was, in the order of the transaction's changes: a spooled row that is older is gone.
    ADD COLUMN spool_truncated bigint;
