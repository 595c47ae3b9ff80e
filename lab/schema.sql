-- What the laboratory adds to the reference schema. None of it is watched by the relay.
create schema lab;

-- Who was accepted by which transaction, written by that transaction.
create table lab.truth (
    attendee bigint not null,
    event    bigint not null,
    xid      xid8   not null default pg_current_xact_id()
);

-- Where each event's webhooks go: an event may have several.
create table lab.hooks (event bigint not null, url text not null, primary key (event, url));

-- The tables that are out of space, and until when.
create unlogged table lab.full_tables (name text not null, until timestamptz not null);

create function lab.refuse_when_full() returns trigger language plpgsql as $$
begin
    if exists (select from lab.full_tables where name = tg_table_name and until > clock_timestamp()) then
        raise exception 'could not extend file: No space left on device' using errcode = 'disk_full';
    end if;
    return null;
end $$;

-- The steps of the load choose some of one worker's attendees.
create index attendees_of_worker on attendees (surname, id);
