-- 200 events with a webhook each, whose receiver takes bench.delay: every other hundred of attendees goes to a new
-- event. Their answers to its form are not there.
insert into events (id, name, webhook_url, webhook_secret)
select id + 101, name, webhook_url, webhook_secret from events where id <= 100;
insert into form_fields (id, event_id, type, label, position)
select id + 700, event_id + 101, type, label, position from form_fields;
update events
   set webhook_url = current_setting('bench.receiver') || '/' || current_setting('bench.delay') || '/' || id
 where webhook_url is not null;
update attendees set event_id = event_id + 101 where id / 100 % 2 = 1 and parent_id is null;
