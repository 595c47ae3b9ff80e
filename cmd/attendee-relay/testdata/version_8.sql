-- Books as version 8 of the schema left them, with something in every table. Words in capitals stand for the ids of
-- endpoints, the receiver, its secret and the slot.
INSERT INTO public.events (id, name, webhook_url, webhook_secret)
VALUES (1, 'Sommerfest', 'URL/well', 'SECRET'), (2, 'paused', 'URL/paused', 'SECRET'), (3, 'disabled', 'URL/disabled', 'SECRET');
INSERT INTO public.attendees (id, event_id, name, surname, email, status)
SELECT i, CASE i WHEN 7 THEN 2 WHEN 8 THEN 3 ELSE 1 END, 'Ada', 'Lovelace', 'ada@example.org', 'Accepted'
  FROM generate_series(1, 13) AS i
 WHERE i <> 12;

INSERT INTO attendee_relay.checkpoint (system_id, database, deployment, source, phase, lsn, pins, epoch, spool_step, spool_cursor, spool_lsn, spool_time)
SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), current_database(), 'test',
       '{"table": "public.attendees", "key": "id", "status": "status", "accepted": ["Accepted"], "repeat": "every"}',
       'streaming', pg_current_wal_insert_lsn(),
       jsonb_build_object('slot', 'SLOT', 'table', 'public.attendees'::regclass::oid::bigint, 'publication', p.oid::bigint,
                          'membership', r.oid::bigint, 'versions', concat(p.xmin::text, ':', r.xmin::text)),
       7, 'remove', 0, '0/2000', '2026-01-02 03:04:05+00'
  FROM pg_publication p
  JOIN pg_publication_rel r ON r.prpubid = p.oid
 WHERE p.pubname = 'attendee_relay';
INSERT INTO attendee_relay.ledger (identity, source_key, commit_lsn)
SELECT i::text, i::text, CASE WHEN i < 11 THEN pg_lsn(4096 + i) END FROM generate_series(1, 12) AS i;
INSERT INTO attendee_relay.spool (identity, gone, origin, key_kind, source_key, status, seq, was_accepted)
VALUES ('13', false, NULL, 2, '13', 2, 1, false);
INSERT INTO attendee_relay.gap (reason, from_lsn, to_lsn, ended_at, announce, added, removed)
VALUES ('slot_lost', '0/10', '0/20', now(), true, 1, 0);

INSERT INTO attendee_relay.message (id, message_id, identity, source_key, delivery_key, commit_lsn, committed_at, attendee_id, event_id,
                                    endpoint, webhook_url, secret, payload)
OVERRIDING SYSTEM VALUE
SELECT i, 'msg_old' || i, i::text, i::text, i::text, pg_lsn(4096 + i), '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 s', i::text, e.id,
       CASE WHEN i <> 3 THEN e.endpoint::uuid END, CASE WHEN i <> 3 THEN e.url END, CASE WHEN i <> 10 THEN 'SECRET' END,
       CASE WHEN i <> 10 THEN '{"type":"attendee_accepted","n":' || i || '}' END
  FROM generate_series(1, 10) AS i
  JOIN (VALUES ('1', 'ENDPOINT_WELL', 'URL/well'), ('2', 'ENDPOINT_PAUSED', 'URL/paused'),
               ('3', 'ENDPOINT_DISABLED', 'URL/disabled')) AS e (id, endpoint, url)
    ON e.id = CASE i WHEN 7 THEN '2' WHEN 8 THEN '3' ELSE '1' END;
SELECT setval(pg_get_serial_sequence('attendee_relay.message', 'id'), 10);
SELECT setval(pg_get_serial_sequence('public.attendees', 'id'), 13);
INSERT INTO attendee_relay.settled (id, state, settled_at, attempts, last_status, last_error)
VALUES (1, 'delivered', '2026-01-01 01:00:00+00', 1, 200, NULL), (2, 'dead', '2026-01-01 01:00:00+00', 10, 500, 'the receiver answered 500'),
       (3, 'skipped', '2026-01-01 01:00:00+00', 0, NULL, NULL), (10, 'delivered', '2025-01-01 01:00:00+00', 2, 204, NULL);
INSERT INTO attendee_relay.exchange (message, number, started_at, duration_ms, status, error, response)
SELECT m, n, '2026-01-01 00:30:00+00', 12, CASE WHEN m IN (1, 10) AND n = last THEN 200 ELSE 500 END,
       CASE WHEN m IN (1, 10) AND n = last THEN NULL ELSE 'the receiver answered 500' END, 'said ' || n
  FROM (VALUES (1, 1), (2, 10), (5, 2), (7, 3), (8, 1), (10, 2)) AS attempts (m, last)
 CROSS JOIN LATERAL generate_series(1, last) AS n;
-- 4 was never tried, 5 was, 6 is under a lease whose holder has gone, 9 is not due yet.
INSERT INTO attendee_relay.pending (id, endpoint, lane, due_at, lease, lease_ends, attempts, step, retry, last_status, last_error)
SELECT i, m.endpoint, attendee_relay.lane(m.attendee_id), CASE i WHEN 9 THEN now() + interval '1 h' ELSE now() - interval '1 min' END,
       CASE i WHEN 6 THEN gen_random_uuid() END, CASE i WHEN 6 THEN now() - interval '1 s' END,
       n, least(n, 2), n > 0, CASE WHEN n > 0 THEN 500 END, CASE WHEN n > 0 THEN 'the receiver answered 500' END
  FROM (VALUES (4, 0), (5, 2), (6, 0), (7, 3), (8, 1), (9, 0)) AS waiting (i, n)
  JOIN attendee_relay.message m ON m.id = i;
INSERT INTO attendee_relay.endpoint (id, webhook_url, state, failures, proven, probe_at, probe_wait, last_error)
VALUES ('ENDPOINT_WELL', 'URL/well', 'active', 0, true, NULL, NULL, NULL),
       ('ENDPOINT_PAUSED', 'URL/paused', 'paused', 10, true, now() + interval '1 h', '15 min', 'the receiver answered 500'),
       ('ENDPOINT_DISABLED', 'URL/disabled', 'disabled', 1, false, NULL, NULL, 'the receiver answered 410');

-- 11 is due, 12 waits for long yet with an error, and 1 never became a message.
INSERT INTO attendee_relay.acceptance (identity, row_identity, source_key, commit_lsn, committed_at, state, evaluations, empty_since,
                                       next_evaluation_at, last_error)
VALUES ('11', '11', '11', '0/1100', '2026-01-01 00:00:00+00', 'waiting', 0, NULL, now(), NULL),
       ('12', '12', '12', '0/1200', NULL, 'waiting', 5, '2026-01-01 00:00:00+00', now() + interval '1 h', 'the payload query failed'),
       ('1', '1', '1', '0/100', '2026-01-01 00:00:00+00', 'empty', 3, '2026-01-01 00:00:00+00', now(), NULL);
