-- The bench's data in the reference schema: 100 events with a webhook each below bench.url, 7 form fields an event, and
-- bench.attendees people who wait to be accepted, all fields answered, a third of them with somebody they bring along.
-- Event 101 has no webhook. Ids begin at 1 without a gap: attendee n belongs to event 1 + n % 100.
insert into events (id, name, webhook_url, webhook_secret)
select n, 'Annual meeting of the ' || n || '. section', current_setting('bench.url') || '/' || n,
       'whsec_' || encode(sha256(n::text::bytea), 'base64')
  from generate_series(1, 100) n;
insert into events (id, name) values (101, 'Without a webhook');
insert into groups (id, event_id, name) select n, n, 'Group ' || n from generate_series(1, 100) n;
insert into fees (id, price, currency) select n, n * 12.5, 'EUR' from generate_series(1, 8) n;
insert into form_fields (id, event_id, type, label, position)
select 7 * (event - 1) + place, event, kind, label, place
  from generate_series(1, 100) event,
       (values (1, 'text', 'Phone'), (2, 'text_area', 'Bio'), (3, 'select', 'Food type'), (4, 'radio', 'T-shirt size'),
               (5, 'check_box', 'Newsletter'), (6, 'check_box', 'Marketing'),
               (7, 'select', 'How did you hear of us?')) as field (place, kind, label);
insert into attendees (id, event_id, group_id, fee_id, name, surname, email)
select n, 1 + n % 100, CASE n % 2 WHEN 0 THEN 1 + n % 100 END, 1 + n % 8, 'Name ' || n, 'Surname ' || n,
       'attendee' || n || '@example.org'
  from generate_series(1, current_setting('bench.attendees')::int) n;
insert into form_values (attendee_id, form_field_id, value)
select a.id, f.id, CASE WHEN f.type = 'check_box' THEN (a.id % 2)::text
                        ELSE 'Answer ' || f.position || ' of attendee ' || a.id END
  from attendees a
  join form_fields f on f.event_id = a.event_id;
insert into attendees (id, event_id, parent_id, name, surname)
select 10000000 + n, 1 + n % 100, n, 'Companion ' || n, 'Surname ' || n
  from generate_series(3, current_setting('bench.attendees')::int, 3) n;
select setval(pg_get_serial_sequence('attendees', 'id'), 20000000);
