package replication

import "time"

// maxPatience is the longest that a silent server is waited for.
const maxPatience = 2 * time.Minute

// patience is how long a server may be silent before its connection is given up. A server that decodes a large
// transaction is silent as well, while it writes a part of it to its disk for instance, and starts again from the
// beginning when it is cut off: so that this does not go on for ever, each silence is met with twice the patience of
// the last, until a transaction arrives or a stream has lived for maxPatience.
type patience struct{ silences int }

// of returns the patience of now, where the usual one is given.
func (p *patience) of(usual time.Duration) time.Duration {
	for range p.silences {
		if usual = 2 * usual; usual > maxPatience {
			return maxPatience
		}
	}
	return usual
}

func (p *patience) lost() { p.silences++ }

func (p *patience) rewarded() { p.silences = 0 }
