-- What the laboratory adds to the reference schema. None of it is watched by the relay.
create schema lab;

-- Who was accepted by which transaction, written by that transaction.
create table lab.truth (
    attendee bigint not null,
    event    bigint not null,
    xid      xid8   not null default pg_current_xact_id()
);
create index truth_attendee on lab.truth (attendee);

-- The rows that left their ids and in which transaction, written by that transaction: deleted, or given another id. An
-- id may come back, and always with the event that it had.
create table lab.gone (
    attendee bigint not null,
    event    bigint not null,
    surname  text   not null,
    became   bigint,
    -- The row had been accepted before that transaction.
    accepted boolean not null,
    xid      xid8   not null default pg_current_xact_id()
);
create index gone_attendee on lab.gone (attendee);
create index gone_of_worker on lab.gone (surname, xid);

-- Whether an acceptance may rightly be empty. Its payload was missing for the first time at a moment when its row had
-- left its id; and then the row was deleted, or had not been accepted all the time until it left: a relay that has read
-- the stream up to a cancellation looks for a row that is no longer accepted, under an id that it no longer has. A row
-- that stays accepted has to be followed.
create function lab.may_be_empty(attendee bigint, since timestamptz, missing timestamptz)
returns boolean language sql stable as $$
    with recursive trail (id, at, lost) as (
        select $1, $2, false
         union all
        select g.became, g.at, g.became is null or not g.accepted or exists (
                   select from lab.truth t
                    where t.attendee = trail.id and pg_xact_commit_timestamp(t.xid::xid) > trail.at
                      and pg_xact_commit_timestamp(t.xid::xid) <= g.at)
          from trail, lateral (
                   select became, accepted, pg_xact_commit_timestamp(xid::xid) as at
                     from lab.gone
                    where gone.attendee = trail.id and pg_xact_commit_timestamp(xid::xid) >= trail.at
                    order by 3 limit 1) g
         where not trail.lost
    )
    select exists (select from trail where lost) and exists (
        select from lab.gone
         where gone.attendee = $1 and pg_xact_commit_timestamp(xid::xid) between $2 and $3)
$$;

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

-- What the payload query reads, and the triggers on the tables of the relay.
grant usage on schema lab to attendee_relay;
grant select on lab.hooks, lab.full_tables to attendee_relay;
