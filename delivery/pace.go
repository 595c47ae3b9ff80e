package delivery

import (
	"math"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"attendee-relay/outbox"
)

const (
	// recoveryRate is how many requests a second an endpoint gets at first after a pause; it doubles every recoveryStep,
	// until outbox.RecoveryTime is over and nothing is held back any more.
	recoveryRate = 5
	recoveryStep = 5 * time.Second
)

// pace bounds how many requests a second an endpoint gets: the configured rate, and less after a pause. It holds
// messages back by not claiming them, so that none waits under a lease or in a place that another endpoint could use.
// Only the claim loop uses it.
type pace struct {
	// rate is the configured one; rate.Inf: none.
	rate rate.Limit
	// buckets knows the endpoints whose bucket is not full; a full one is the same as a new one.
	buckets map[uuid.UUID]*bucket
}

// bucket is one endpoint's. recovered is when it came back after a pause; zero: it was not paused.
type bucket struct {
	limiter   *rate.Limiter
	recovered time.Time
}

func newPace(perSecond float64) *pace {
	p := &pace{rate: rate.Inf, buckets: map[uuid.UUID]*bucket{}}
	if perSecond > 0 {
		p.rate = rate.Limit(perSecond)
	}
	return p
}

// bound returns how many messages of an endpoint may be claimed, if no more than perEndpoint may be in flight.
func (p *pace) bound(perEndpoint int) int { return min(perEndpoint, burst(p.rate)) }

// burst is a second's worth.
func burst(limit rate.Limit) int { return max(1, int(min(limit, maxConcurrency))) }

// limit is the rate of an endpoint that came back at that time.
func (p *pace) limit(recovered, now time.Time) rate.Limit {
	since := now.Sub(recovered)
	if recovered.IsZero() || since >= outbox.RecoveryTime {
		return p.rate
	}
	return min(p.rate, rate.Limit(recoveryRate*math.Exp2(float64(since)/float64(recoveryStep))))
}

// hold raises busy so far that no more messages of an endpoint are claimed than may be sent now, and none ahead, and
// forgets endpoints that have been idle.
func (p *pace) hold(busy, ahead map[uuid.UUID]int, perEndpoint int, now time.Time) {
	if p.rate != rate.Inf {
		clear(ahead) // what waits in line has had its token
	}
	for endpoint, b := range p.buckets {
		limit := p.limit(b.recovered, now)
		b.limiter.SetLimitAt(now, limit)
		b.limiter.SetBurstAt(now, burst(limit))
		tokens := b.limiter.TokensAt(now)
		if limit == rate.Inf || tokens >= float64(burst(limit)) {
			delete(p.buckets, endpoint)
			continue
		}
		delete(ahead, endpoint)
		busy[endpoint] = max(busy[endpoint], perEndpoint-max(int(tokens), 0))
	}
}

// spend takes the token of a request that starts now.
func (p *pace) spend(m *outbox.Message, now time.Time) {
	b := p.buckets[m.Endpoint]
	if b == nil {
		b = &bucket{}
	}
	if m.Standing.Recovering {
		b.recovered = now.Add(-m.Standing.Recovered)
	}
	limit := p.limit(b.recovered, now)
	if limit == rate.Inf {
		return
	}
	if b.limiter == nil {
		b.limiter = rate.NewLimiter(limit, burst(limit))
		p.buckets[m.Endpoint] = b
	}
	b.limiter.ReserveN(now, 1) // below zero, if it comes to that: what was claimed is sent, and the next waits longer
}
