package main

// spent is the CPU time of a relay and of Postgres so far, in seconds.
type spent struct{ relay, postgres float64 }

// spent reads it; where no relay has been started, Postgres's only.
func (b *bench) spent(r *relay) (s spent, err error) {
	if r != nil {
		if s.relay, err = cpuOf(r.pid()); err != nil {
			return s, err
		}
	}
	s.postgres, err = cpuOfPostgres(b.server.DataDir())
	return s, err
}

func (s spent) since(before spent) spent {
	return spent{s.relay - before.relay, s.postgres - before.postgres}
}
