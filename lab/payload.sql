-- The payload query of the laboratory: one message for each of the event's endpoints.
SELECT a.id AS key, a.id AS attendee_id, a.name, a.surname, a.email,
       NULL::numeric AS price, NULL::text AS currency,
       a.event_id, e.name AS event_name, h.url AS webhook_url, e.webhook_secret AS secret
  FROM public.attendees a
  JOIN public.events e ON e.id = a.event_id
  JOIN lab.hooks h ON h.event = a.event_id
 WHERE a.id = ANY ($1::bigint[])
