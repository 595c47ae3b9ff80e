// Package replication turns the WAL of the registration database into commits of the watched table.
//
// It owns the slot, the publication and the one connection that reads the stream. Its promise: every committed
// transaction that touched a watched row reaches the Recorder, whole and in commit order, at least once, and nothing is
// confirmed to Postgres that the Recorder has not made durable. It knows neither the outbox nor its
// receivers: the Recorder decides which change is an acceptance. cmd calls it.
package replication
