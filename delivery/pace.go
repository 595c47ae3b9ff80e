package delivery

import (
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"
)

// pace bounds how many requests a second an endpoint gets. It holds messages back by not claiming them, so that nothing
// waits under a lease or in a place that another endpoint could use. The claim loop alone uses it; nil is no bound.
type pace struct {
	rate  rate.Limit
	burst int
	// limiters knows the endpoints whose bucket is not full; a full one is the same as a new one.
	limiters map[uuid.UUID]*rate.Limiter
}

func newPace(perSecond float64) *pace {
	if perSecond == 0 {
		return nil
	}
	return &pace{rate: rate.Limit(perSecond), burst: max(1, int(min(perSecond, maxConcurrency))), limiters: map[uuid.UUID]*rate.Limiter{}}
}

// bound returns how many messages of an endpoint may be claimed at most, when no more than perEndpoint may be in flight.
func (p *pace) bound(perEndpoint int) int {
	if p == nil {
		return perEndpoint
	}
	return min(perEndpoint, p.burst)
}

// hold raises busy so far that no more of an endpoint is claimed than may be sent now, and forgets the endpoints that
// have rested.
func (p *pace) hold(busy map[uuid.UUID]int, perEndpoint int, now time.Time) {
	if p == nil {
		return
	}
	for endpoint, limiter := range p.limiters {
		tokens := limiter.TokensAt(now)
		if tokens >= float64(p.burst) {
			delete(p.limiters, endpoint)
			continue
		}
		busy[endpoint] = max(busy[endpoint], perEndpoint-max(int(tokens), 0))
	}
}

// spend takes the token of a request that starts now.
func (p *pace) spend(endpoint uuid.UUID, now time.Time) bool {
	if p == nil {
		return true
	}
	limiter := p.limiters[endpoint]
	if limiter == nil {
		limiter = rate.NewLimiter(p.rate, p.burst)
		p.limiters[endpoint] = limiter
	}
	return limiter.AllowN(now, 1)
}
