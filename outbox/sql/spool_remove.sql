-- Rows of a stretch of the spool that were accepted leave the ledger, under the identity that they had when the
-- transaction began.
DELETE FROM attendee_relay.ledger
 WHERE identity = ANY (ARRAY(SELECT origin
                               FROM attendee_relay.spool
                              WHERE number > $1 AND number <= $2 AND was_accepted))
