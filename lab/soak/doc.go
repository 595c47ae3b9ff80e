// Package soak runs one relay for a long time as an operator would: the README's statements typed as the people it
// names, its role, the server's own settings, autovacuum as it comes.
//
//	go test ./lab/soak -run TestSoak -v -timeout 0 -args -for 1h -settle 5m -seed 7 -log soak.log
//
// It turns a seed and a time into a log and a verdict. Beside the relay an application registers people and alters its
// tables, a DBA analyses, vacuums and restarts, and receivers close connections, answer late or fail. The log has each
// of these causes and, beside it, each fault that /readyz showed meanwhile. It promises to fail where an acceptance is
// lost or written twice, where a fault shows without a cause, and where work stops without a fault. The laboratory one
// folder up is harder on several relays; here the question is whether a single one lives quietly beside a real
// database.
//
// Developers call it for an hour; go test and .ci/run for some seconds.
package soak
