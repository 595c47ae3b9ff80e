-- A backlog of millions takes longer than a session's statements otherwise may.
SET LOCAL statement_timeout = 0;

-- What is known of an endpoint beyond its messages. An endpoint without a row has not answered yet. A row is written only
-- when something changes, so that of a healthy endpoint nothing is written, however many messages it gets.
CREATE TABLE attendee_relay.endpoint (
    id           uuid PRIMARY KEY,
    webhook_url  text        NOT NULL,
    state        text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'recovering', 'disabled')),
    -- Since when it is in this state.
    since        timestamptz NOT NULL DEFAULT now(),
    -- Attempts that failed since the last 2xx.
    failures     int         NOT NULL DEFAULT 0,
    -- It has answered with a 2xx at least once.
    proven       boolean     NOT NULL DEFAULT false,
    -- Of a paused endpoint, when it is probed next, and how long the wait before that probe is.
    probe_at     timestamptz,
    probe_wait   interval,
    -- Of one that is not active, when the payload query is asked again for the URLs of some of its messages, and up to which
    -- message it has been.
    look_at      timestamptz,
    looked       bigint      NOT NULL DEFAULT 0,
    last_error   text
);
CREATE INDEX endpoint_probe ON attendee_relay.endpoint (probe_at) WHERE state = 'paused';
CREATE INDEX endpoint_recovering ON attendee_relay.endpoint (since) WHERE state = 'recovering';
CREATE INDEX endpoint_look ON attendee_relay.endpoint (look_at) WHERE state IN ('paused', 'disabled');

-- A lease is kept apart from when a message is due: taking one then changes nothing that is in an index, and with half of each page
-- left free it writes to the heap only (docs/decisions/0009).
DROP INDEX attendee_relay.pending_due, attendee_relay.pending_lane;
ALTER TABLE attendee_relay.pending DROP CONSTRAINT pending_pkey;
ALTER TABLE attendee_relay.pending RENAME COLUMN next_attempt_at TO due_at;
ALTER TABLE attendee_relay.pending
    ADD COLUMN lease_ends timestamptz,
    -- Steps of the retry schedule that are used up; attempts that do not count against a message use none.
    ADD COLUMN step int NOT NULL DEFAULT 0,
    -- First attempts go before retries.
    ADD COLUMN retry boolean NOT NULL DEFAULT false;
ALTER TABLE attendee_relay.pending ADD PRIMARY KEY (endpoint, id);
-- A lane is now the messages of one attendee, whatever their endpoint.
UPDATE attendee_relay.pending p
   SET step = p.attempts, retry = p.attempts > 0, lane = hashtextextended(m.attendee_id, 0)
  FROM attendee_relay.message m
 WHERE m.id = p.id;
CREATE INDEX pending_due ON attendee_relay.pending (endpoint, retry, due_at, id);
CREATE INDEX pending_lane ON attendee_relay.pending (lane, id);
ALTER TABLE attendee_relay.pending SET (fillfactor = 50);

CREATE OR REPLACE VIEW attendee_relay.outbox AS
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
       greatest(p.due_at, p.lease_ends) AS next_attempt_at,
       CASE WHEN s.state = 'delivered' THEN s.settled_at END AS delivered_at,
       coalesce(s.last_status, p.last_status) AS last_status,
       coalesce(s.last_error, p.last_error) AS last_error,
       m.created_at
  FROM attendee_relay.message m
  LEFT JOIN attendee_relay.pending p ON p.endpoint = m.endpoint AND p.id = m.id
  LEFT JOIN attendee_relay.settled s ON s.id = m.id;

-- The deployment of the books, where they are this database's and not ahead of its WAL; no row: this is a copy, which sends nothing.
CREATE VIEW attendee_relay.own_books AS
SELECT c.deployment
  FROM attendee_relay.checkpoint c
 WHERE c.database = pg_catalog.current_database()
   AND c.system_id = (SELECT system_identifier::text FROM pg_catalog.pg_control_system())
   AND c.lsn <= pg_catalog.pg_current_wal_insert_lsn();
