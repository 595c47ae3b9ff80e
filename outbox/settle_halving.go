package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"attendee-relay/internal/postgres"
)

// aboutAll is how many outcomes have to be refused one by one, with none stored, and as many more from all over the
// batch, before the error is taken to be about all of them.
const aboutAll = 8

// Unstorable is a settlement that the database refuses even without the texts of its attempt, and why.
type Unstorable struct {
	Settlement Settlement
	Err        error
}

// halving records settlements of which the database refuses one or more. It halves them until each that is refused is
// alone, so that one keeps no other from being recorded.
type halving struct {
	queue   *Queue
	all     []Settlement
	settled Settled
	// early are those that were recorded before their turn.
	early []Settlement
}

func (h *halving) record(ctx context.Context, settlements []Settlement) error {
	if settlements = h.open(settlements); len(settlements) == 0 {
		return nil
	}
	settled, err := h.queue.settle(ctx, settlements)
	switch {
	case err == nil:
		h.settled.Applied += settled.Applied
		h.settled.Refused += settled.Refused
		return nil
	case !mayBeAboutOne(err):
		return err
	case len(settlements) == 1:
		return h.reduced(ctx, settlements[0], err)
	}
	return h.halves(ctx, settlements)
}

func (h *halving) halves(ctx context.Context, settlements []Settlement) error {
	half := len(settlements) / 2
	if err := h.record(ctx, settlements[:half]); err != nil {
		return err
	}
	return h.record(ctx, settlements[half:])
}

// reduced records a settlement that was refused unchanged: with its texts as ASCII, which every encoding holds, or
// without them.
func (h *halving) reduced(ctx context.Context, s Settlement, err error) error {
	for _, outcome := range []Outcome{s.Outcome.storable(""), s.Outcome.textless()} {
		if s.Outcome.attempt == outcome.attempt {
			continue
		}
		settled, failed := h.queue.settle(ctx, []Settlement{{Message: s.Message, Outcome: outcome}})
		if failed == nil {
			h.settled.Applied += settled.Applied
			h.settled.Refused += settled.Refused
			return nil
		}
		if err = failed; !mayBeAboutOne(err) {
			return err
		}
	}
	h.settled.Unstorable = append(h.settled.Unstorable, Unstorable{s, err})
	if len(h.settled.Unstorable) >= aboutAll && h.settled.Applied+h.settled.Refused == 0 {
		return h.tryOthers(ctx, err)
	}
	return nil
}

// tryOthers records one of the others, wherever it is: the refused ones may only have come first. If the database
// refuses each that is tried it returns err.
func (h *halving) tryOthers(ctx context.Context, err error) error {
	for _, at := range rand.Perm(len(h.all))[:min(aboutAll, len(h.all))] { //nolint:gosec // only an order
		one := h.all[at : at+1]
		if slices.ContainsFunc(h.settled.Unstorable, func(u Unstorable) bool { return u.Settlement.same(&one[0]) }) {
			continue
		}
		settled, failed := h.queue.settle(ctx, one)
		switch {
		case failed == nil:
			h.settled.Applied += settled.Applied
			h.settled.Refused += settled.Refused
			h.early = append(h.early, one[0])
			return nil
		case !mayBeAboutOne(failed):
			return failed
		}
	}
	return err
}

// open returns the settlements except those that were recorded early.
func (h *halving) open(settlements []Settlement) []Settlement {
	if len(h.early) == 0 {
		return settlements
	}
	return slices.DeleteFunc(slices.Clone(settlements), func(s Settlement) bool {
		return slices.ContainsFunc(h.early, func(e Settlement) bool { return e.same(&s) })
	})
}

// same reports whether two settlements are of one attempt.
func (s *Settlement) same(o *Settlement) bool {
	return s.Message.Row == o.Message.Row && s.Message.Token == o.Message.Token
}

// textless returns the same outcome without the texts of its attempt.
func (o Outcome) textless() Outcome {
	o.attempt.Error, o.attempt.Response = "", ""
	return o
}

// mayBeAboutOne reports whether an error of the database may be about one of several rows that were to be written.
// Errors of these classes are not: the session or the transaction (08, 25, 28, 40), missing objects and rights (3D, 3F,
// 42), exhausted resources (53), objects in use (55), a time-out or a shutdown (57), and the disk (58).
func mayBeAboutOne(err error) bool {
	said, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || postgres.Unreachable(err) || len(said.Code) < 2 {
		return false
	}
	return !slices.Contains([]string{"08", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58"}, said.Code[:2])
}
