package outbox

import "errors"

var errTwice = errors.New("the payload query gave two rows with the same delivery_key and webhook_url")

// screen gives rows without a URL the default one, and finds those that are there twice.
type screen struct {
	defaultURL string
	seen       map[target]bool
}

type target struct{ key, deliveryKey, url string }

func newScreen(defaultURL string) screen {
	return screen{defaultURL: defaultURL, seen: map[target]bool{}}
}

func (s *screen) pass(p *payload) {
	if p.url == "" {
		p.url = s.defaultURL
	}
	t := target{p.key, p.deliveryKey, p.url}
	if s.seen[t] && p.err == nil {
		p.err = errTwice
	}
	s.seen[t] = true
}
