// Package outbox turns commits into messages and keeps the books on both.
//
// It decides which changes are acceptances, against its own ledger; joins what the payload query gives; renders the
// body once; and stores messages, ledger and checkpoint in one transaction under the leader's fence. Its promise: one
// message per acceptance and endpoint, whatever crashes in between, and a message leaves the state pending only by a
// recorded outcome. replication calls Recorder, delivery calls Queue, cmd runs Resolver, admin reads.
package outbox
