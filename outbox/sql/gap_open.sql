-- The gap that the baseline closes, if it is not that of a first start, and whether what it finds is announced.
SELECT number, announce FROM attendee_relay.gap WHERE ended_at IS NULL
