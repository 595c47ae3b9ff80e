package outbox

import (
	"time"

	"github.com/google/uuid"
)

// ClaimRequest says how much a claim may take.
type ClaimRequest struct {
	// Limit is the most messages to take.
	Limit int
	// Lease is how long nobody else may take them.
	Lease time.Duration
	// PerEndpoint is the most messages of one endpoint that the claimer may hold; Busy counts those it holds already. The
	// claim takes at most PerEndpoint minus Busy of an endpoint.
	PerEndpoint int
	Busy        map[uuid.UUID]int
}

// Settled says what became of a batch of settlements.
type Settled struct {
	// Applied settlements were recorded; Refused ones came after their lease was lost and were no 2xx.
	Applied int
	Refused int
}
