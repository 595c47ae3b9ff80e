-- bench.rows messages more that were delivered in the last 20 days, several to each of a million attendees: the
-- messages there are already once more and once more, so that bodies and endpoints are real ones.
create temporary table sample on commit drop as
select row_number() over (order by id) - 1 as place, m.* from attendee_relay.message m;
alter table sample add primary key (place);
create temporary table size on commit drop as
select count(*) as sample, current_setting('bench.rows')::int as rows from sample;
insert into attendee_relay.message (message_id, identity, source_key, delivery_key, commit_lsn, committed_at,
                                    attendee_id, event_id, endpoint, webhook_url, secret, payload, created_at)
select 'msg_' || md5(n::text), who, who, who, s.commit_lsn, at, who, s.event_id, s.endpoint, s.webhook_url, s.secret,
       s.payload, at
  from size, generate_series(1, size.rows) n,
       lateral (select (30000001 + n % 1000000)::text as who,
                       now() - interval '20 days' * (1 - n::float8 / size.rows) as at) m,
       lateral (select * from sample where place = n % size.sample offset 0) s;
insert into attendee_relay.settled (id, state, settled_at, attempts, last_status)
select id, 'delivered', created_at + interval '5 milliseconds', 1, 204
  from attendee_relay.message where id > (select max(id) from sample) order by id;
insert into attendee_relay.exchange (message, number, started_at, duration_ms, status)
select id, 1, created_at + interval '2 milliseconds', 1, 204
  from attendee_relay.message where id > (select max(id) from sample) order by id;
