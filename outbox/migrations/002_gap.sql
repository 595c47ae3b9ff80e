-- Stretches of the WAL that capture could not read: the slot was lost, the table or the publication was altered, the
-- bookkeeping was adopted. Each ended with a comparison of the ledger with the table.
CREATE TABLE attendee_relay.gap (
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The code of the fault, or 'adopted' or 'partitions'.
    reason     text        NOT NULL,
    -- Everything that ended at or before from_lsn had been recorded; streaming went on from to_lsn.
    from_lsn   pg_lsn      NOT NULL,
    to_lsn     pg_lsn,
    began_at   timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    -- Rows that the table had and the ledger lacked are announced, or only remembered as in a first start.
    announce   boolean     NOT NULL,
    -- Rows that entered and left the ledger by the comparison.
    added      bigint,
    removed    bigint
);
CREATE UNIQUE INDEX gap_open ON attendee_relay.gap ((true)) WHERE ended_at IS NULL;
