// Package lab is the fault laboratory: relays as processes, a real Postgres, an application that registers people, and
// whatever can go wrong in between, chosen at random from a seed.
//
//	go test ./lab -run TestLaboratory -v -timeout 0 -args -for 1h -seed 7
//
// It turns a seed and a time into figures and a verdict: acceptances, faults, lost messages, repeated rows, requests
// that came twice. The truth that it compares with is the application's own: each transaction that accepts somebody
// says so in a table of the laboratory, and Postgres tells when it was committed. Nothing of it is in the relay's
// binary; developers call it for an hour, .ci/run for a minute, and go test for some seconds.
//
// The seed decides what is done and in which order; the moments depend on the machine too, so a seed makes a failure
// likely to come again and not certain.
package lab
