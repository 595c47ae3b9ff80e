-- Whether nothing waits for its payload, and no message for anything but a paused endpoint. Of an endpoint's messages
-- one is looked at, so that a million of them cost nothing.
with recursive waiting as (
    (select endpoint from attendee_relay.pending order by endpoint limit 1)
    union all
    select (select p.endpoint from attendee_relay.pending p where p.endpoint > w.endpoint order by p.endpoint limit 1)
      from waiting w
     where w.endpoint is not null
)
select not exists (select from attendee_relay.acceptance where state = 'waiting')
   and not exists (select from waiting w
                    where w.endpoint is not null
                      and not exists (select from attendee_relay.endpoint e
                                       where e.id = w.endpoint and e.state = 'paused'))
