-- The relay's own tables. They live in the registration database, so that one transaction covers what was seen and what
-- is to be sent; nothing of the application's is touched.

-- One row: how far capture has come, for which database, and who may write. Every recording transaction locks it first:
-- that is the fence.
CREATE TABLE attendee_relay.checkpoint (
    singleton      boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    system_id      text        NOT NULL,
    database       text        NOT NULL,
    deployment     text        NOT NULL,
    source         jsonb       NOT NULL,
    phase          text        NOT NULL CHECK (phase IN ('new', 'own_slot', 'given_slot', 'streaming')),
    lsn            pg_lsn      NOT NULL DEFAULT '0/0',
    -- The oids of table, publication and membership that capture was started with.
    pins           jsonb,
    -- Raised by each new leader; a transaction that carries an older one writes nothing.
    epoch          bigint      NOT NULL DEFAULT 0,
    leader_pid     int,
    leader_since   timestamptz,
    -- A slot that was there before the baseline repeats transactions that the baseline's snapshot shows already.
    seen_snapshot  text,
    seen_until     pg_lsn,
    -- A transaction too large for memory is applied from the spool, step by step.
    spool_step     text CHECK (spool_step IN ('empty_ledger', 'remove', 'add', 'clear')),
    spool_cursor   bigint      NOT NULL DEFAULT 0,
    spool_lsn      pg_lsn,
    spool_time     timestamptz
) WITH (fillfactor = 10);

-- The rows that are accepted now. The stream does not tell what a row was before, so this does.
CREATE TABLE attendee_relay.ledger (
    identity    text COLLATE "C" PRIMARY KEY,
    source_key  text COLLATE "C",
    -- The commit that accepted the row; NULL: it was accepted before the first start.
    commit_lsn  pg_lsn
);

-- Acceptances that have no message yet: the payload query failed, gave no row, or has not run. 'empty' ones never will.
CREATE TABLE attendee_relay.acceptance (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The row's identity in the accepting commit is part of the message id; where the row is now may differ.
    identity            text COLLATE "C" NOT NULL,
    row_identity        text COLLATE "C" NOT NULL,
    source_key          text COLLATE "C",
    commit_lsn          pg_lsn      NOT NULL,
    committed_at        timestamptz,
    state               text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'empty')),
    evaluations         int         NOT NULL DEFAULT 0,
    -- Since when the payload query gives no row; OUTBOX_PATIENCE counts from there.
    empty_since         timestamptz,
    -- Raised when the row changes, so that an evaluation begun before does not overrule it.
    revision            int         NOT NULL DEFAULT 0,
    next_evaluation_at  timestamptz NOT NULL,
    last_error          text,
    created_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX acceptance_due ON attendee_relay.acceptance (next_evaluation_at) WHERE state = 'waiting';
CREATE INDEX acceptance_row ON attendee_relay.acceptance (row_identity) WHERE state = 'waiting';
CREATE INDEX acceptance_key ON attendee_relay.acceptance (source_key) WHERE state = 'waiting';

-- What never changes of a message. The body is kept as the bytes that every attempt sends.
CREATE TABLE attendee_relay.message (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id    text COLLATE "C" NOT NULL UNIQUE,
    identity      text COLLATE "C" NOT NULL,
    source_key    text COLLATE "C",
    delivery_key  text COLLATE "C" NOT NULL,
    commit_lsn    pg_lsn      NOT NULL,
    committed_at  timestamptz,
    attendee_id   text COLLATE "C" NOT NULL,
    event_id      text COLLATE "C" NOT NULL,
    endpoint      uuid,
    webhook_url   text,
    secret        text,
    payload       text,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX message_attendee ON attendee_relay.message (attendee_id);

-- The messages still to be sent, one small row each, so that a claim never looks at what is done. next_attempt_at is both
-- when the next attempt is due and, under a lease, when the lease ends.
CREATE TABLE attendee_relay.pending (
    id               bigint PRIMARY KEY,
    endpoint         uuid        NOT NULL,
    -- Messages of one attendee to one endpoint share a lane and are sent in order.
    lane             bigint      NOT NULL,
    next_attempt_at  timestamptz NOT NULL,
    lease            uuid,
    attempts         int         NOT NULL DEFAULT 0,
    last_status      int,
    last_error       text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);
CREATE INDEX pending_due ON attendee_relay.pending (endpoint, next_attempt_at, id);
CREATE INDEX pending_lane ON attendee_relay.pending (lane, id);

-- How a message ended.
CREATE TABLE attendee_relay.settled (
    id           bigint PRIMARY KEY,
    state        text        NOT NULL CHECK (state IN ('delivered', 'dead', 'skipped')),
    settled_at   timestamptz NOT NULL,
    attempts     int         NOT NULL,
    last_status  int,
    last_error   text
);

-- One row an HTTP attempt.
CREATE TABLE attendee_relay.exchange (
    message      bigint      NOT NULL,
    number       int         NOT NULL,
    started_at   timestamptz NOT NULL,
    duration_ms  int         NOT NULL,
    status       int,
    error        text,
    response     text,
    PRIMARY KEY (message, number)
);

-- The changes of a transaction too large for memory, net by row: where the row was when the transaction began, where it
-- is, and what the ledger said of it before.
CREATE TABLE attendee_relay.spool (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identity      text COLLATE "C" NOT NULL,
    gone          boolean NOT NULL,
    origin        text COLLATE "C",
    key_kind      smallint NOT NULL,
    source_key    text COLLATE "C",
    status        smallint NOT NULL,
    seq           bigint NOT NULL,
    was_accepted  boolean NOT NULL,
    ledger_key    text COLLATE "C",
    ledger_lsn    pg_lsn
);
CREATE INDEX spool_identity ON attendee_relay.spool (identity);
CREATE INDEX spool_origin ON attendee_relay.spool (origin);
-- The key that a deleted row had last: the transaction's (key_kind 2), else the ledger's.
CREATE INDEX spool_departed ON attendee_relay.spool ((CASE key_kind WHEN 2 THEN source_key WHEN 0 THEN ledger_key END)) WHERE gone AND was_accepted;

CREATE VIEW attendee_relay.outbox AS
SELECT m.message_id,
       coalesce(s.state, 'pending') AS state,
       m.source_key,
       m.delivery_key,
       m.commit_lsn,
       m.committed_at,
       m.attendee_id,
       m.event_id,
       m.webhook_url,
       m.payload,
       coalesce(s.attempts, p.attempts, 0) AS attempts,
       p.next_attempt_at,
       CASE WHEN s.state = 'delivered' THEN s.settled_at END AS delivered_at,
       coalesce(s.last_status, p.last_status) AS last_status,
       coalesce(s.last_error, p.last_error) AS last_error,
       m.created_at
  FROM attendee_relay.message m
  LEFT JOIN attendee_relay.pending p ON p.id = m.id
  LEFT JOIN attendee_relay.settled s ON s.id = m.id;

CREATE VIEW attendee_relay.attempt AS
SELECT m.message_id, e.number, e.started_at, e.duration_ms, e.status, e.error, e.response
  FROM attendee_relay.exchange e
  JOIN attendee_relay.message m ON m.id = e.message;
