-- The payload query of the reference schema. Copy it and change the names: $1 is the array of SOURCE_KEY values, its
-- cast is yours to choose, and the columns are found by their names. It asks for many attendees at once, so the lists
-- are gathered with one pass each and not by a sub-select a row, and each element is a row of named columns, which
-- Postgres turns into JSON twice as fast as json_build_object.
WITH asked AS MATERIALIZED (
    SELECT a.id, a.event_id, a.group_id, a.fee_id, a.name, a.surname, a.email
      FROM public.attendees a
     WHERE a.id = ANY ($1::bigint[]) AND a.parent_id IS NULL
), given AS MATERIALIZED (
    SELECT v.attendee_id, v.form_field_id, v.value
      FROM public.form_values v
     WHERE v.attendee_id = ANY ($1::bigint[])
), answers AS (
    SELECT a.id AS attendee_id,
           pg_catalog.json_agg(field ORDER BY f.position, f.id) AS form_fields
      FROM asked a
      JOIN public.form_fields f ON f.event_id = a.event_id
      LEFT JOIN given v ON v.attendee_id = a.id AND v.form_field_id = f.id
     CROSS JOIN LATERAL (
           SELECT f.id, f.type, f.label,
                  CASE WHEN f.type = 'check_box'
                       THEN pg_catalog.to_json(
                            coalesce(pg_catalog.lower(v.value) IN ('1', 't', 'true', 'on', 'yes'), false))
                       ELSE pg_catalog.to_json(v.value) END AS value) field
     GROUP BY a.id
), companions AS (
    SELECT c.parent_id,
           pg_catalog.json_agg(companion ORDER BY c.id) AS additional_attendees
      FROM public.attendees c
     CROSS JOIN LATERAL (SELECT c.id, c.name, c.surname) companion
     WHERE c.parent_id = ANY ($1::bigint[])
     GROUP BY c.parent_id
)
SELECT a.id AS key,
       a.id AS attendee_id,
       a.name,
       a.surname,
       a.email,
       fee.price,
       fee.currency,
       a.event_id,
       e.name AS event_name,
       e.webhook_url,
       e.webhook_secret AS secret,
       a.group_id,
       g.name AS group_name,
       answers.form_fields,
       companions.additional_attendees
  FROM asked a
  JOIN public.events e ON e.id = a.event_id
  LEFT JOIN public.groups g ON g.id = a.group_id
  LEFT JOIN public.fees fee ON fee.id = a.fee_id
  LEFT JOIN answers ON answers.attendee_id = a.id
  LEFT JOIN companions ON companions.parent_id = a.id
