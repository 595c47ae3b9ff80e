-- Stores the phase of a baseline before its slot is made: of a first start, or of one that was begun before.
UPDATE attendee_relay.checkpoint
   SET phase = $1
 WHERE phase <> 'streaming' AND epoch = $2
