-- The statements that the README has an administrator run for the relay: a role that may log in, stream and read, and
-- owns its own schema only; and the publication, which takes the owner of the table.
CREATE ROLE attendee_relay LOGIN REPLICATION PASSWORD 'of-the-demo-alone';
CREATE SCHEMA attendee_relay AUTHORIZATION attendee_relay;
GRANT USAGE ON SCHEMA public TO attendee_relay;
GRANT SELECT ON public.attendees, public.events, public.groups, public.fees, public.form_fields, public.form_values
   TO attendee_relay;
CREATE PUBLICATION attendee_relay FOR TABLE ONLY public.attendees WITH (publish_via_partition_root = true);
