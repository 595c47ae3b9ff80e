-- Sample data for the reference schema. Before it, set where the webhooks go; without it they have no URL:
--   set demo.webhook_url = 'http://127.0.0.1:9000';
-- Each event gets a signing secret of its own; set demo.webhook_secret to give all of them the same.
insert into events (id, name, webhook_url, webhook_secret)
select id, name, current_setting('demo.webhook_url', true) || path,
    coalesce(nullif(current_setting('demo.webhook_secret', true), ''),
        'whsec_' || encode(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), 'base64'))
from (values
    (1, E'Sommerfest der B\u00fccherfreunde \U0001f389', '/sommerfest'),
    (2, 'GopherCamp "Autumn" 2026', '/gophercamp'),
    (3, E'Volkslauf K\u00f6nigsbr\u00fcck', '/volkslauf')
) as sample (id, name, path);

insert into groups (id, event_id, name) values
    (1, 2, 'Workshop: Postgres & Go'),
    (2, 2, 'Talks only'),
    (3, 3, '10 km'),
    (4, 3, 'Bambini-Lauf (Kinder)');

insert into fees (id, price, currency) values
    (1, 0.00, 'EUR'),
    (2, 123.45, 'EUR'),
    (3, 15.00, 'EUR'),
    (4, 100.00, 'USD');

insert into form_fields (id, event_id, type, label, position) values
    (1, 1, 'text', 'Lieblingsbuch', 1),
    (2, 1, 'check_box', E'Ich bringe Kuchen mit \U0001f370', 2),
    (3, 2, 'text', 'Phone', 1),
    (4, 2, 'text_area', 'What is your "one thing"?', 2),
    (5, 2, 'select', 'Food type', 3),
    (6, 2, 'radio', 'T-shirt size', 4),
    (7, 2, 'check_box', 'Newsletter', 5),
    (8, 2, 'check_box', 'Photos of me may be published', 6),
    (9, 3, 'text', 'Verein', 1),
    (10, 3, 'radio', E'Gr\u00f6\u00dfe', 2),
    (11, 3, 'select', 'Startblock', 3);

-- These people were accepted before the relay came: it remembers them, and announces none of them.
insert into attendees (id, event_id, group_id, fee_id, parent_id, name, surname, email, status) values
    (1, 1, null, null, null, E'K\u00e4the', E'Wei\u00df', 'kaethe@example.org', 'Accepted'),
    (2, 2, 1, 2, null, 'Grace', 'O''Brien', 'grace@example.org', 'Accepted'),
    (3, 2, 1, 2, 2, 'Alan', 'O''Brien', null, 'Accepted'),
    (4, 3, 3, 3, null, E'J\u00f6rg', E'M\u00fcller-L\u00fcdenscheidt', 'joerg@example.org', 'Pending'),
    (5, 3, 4, 1, null, E'Zo\u00eb', E'\u5c0f\u6797', 'zoe@example.org', 'Cancelled');

insert into form_values (attendee_id, form_field_id, value) values
    (1, 1, 'Momo'), (1, 2, 'yes'),
    (2, 3, '+353 1 234 567'), (2, 4, E'Line one,\nline "two" \U0001f642'), (2, 5, 'vegetarian'), (2, 6, 'M'),
    (2, 7, 'true'), (4, 9, E'TSV "Blau-Wei\u00df"'), (4, 10, 'XL');

-- The rows above carry their numbers; the identity columns go on after them.
select setval(pg_get_serial_sequence(name, 'id'), 1000)
from unnest(array['events', 'groups', 'fees', 'form_fields', 'attendees']) as tables (name);
