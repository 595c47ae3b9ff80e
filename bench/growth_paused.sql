-- bench.rows messages more that wait for 50 endpoints, which are paused and will not be probed or looked at today.
create temporary table size on commit drop as
select max(id) as before, current_setting('bench.rows')::int as rows from attendee_relay.message;
insert into attendee_relay.endpoint (id, webhook_url, state, failures, proven, probe_at, probe_wait, look_at)
select md5('paused' || n)::uuid, 'http://127.0.0.1:9/paused/' || n, 'paused', 10, true, now() + interval '1 day',
       interval '15 minutes', now() + interval '1 day'
  from generate_series(0, 49) n;
insert into attendee_relay.message (message_id, identity, source_key, delivery_key, commit_lsn, committed_at,
                                    attendee_id, event_id, endpoint, webhook_url, payload)
select 'msg_' || md5(n::text), who, who, who, '0/1', now(), who, 'paused', e.id, e.webhook_url, body.payload
  from size, (select payload from attendee_relay.message order by id limit 1) body, generate_series(1, size.rows) n,
       lateral (select (30000000 + n)::text as who) m,
       lateral (select id, webhook_url from attendee_relay.endpoint
                 where id = md5('paused' || n % 50)::uuid offset 0) e;
insert into attendee_relay.pending (id, endpoint, lane, due_at)
select id, endpoint, attendee_relay.lane(attendee_id), now()
  from attendee_relay.message where id > (select before from size) order by id;
