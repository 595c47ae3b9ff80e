package replication

import (
	_ "embed"
	"fmt"

	"attendee-relay/internal/fault"
)

//go:embed inspect_server.sql
var inspectServerSQL string

const reload = "; SELECT pg_reload_conf()"

// serverFindings judges the server's settings and what it has left.
func (i Inspector) serverFindings(s serverState, found *Inspection, role string) []fault.Finding {
	return []fault.Finding{
		slotsLeft(s), sendersLeft(s, found), i.connectionsLeft(s, role), walKeep(s), idleTimeout(s), standbys(s, role), preparedTransactions(s),
	}
}

func slotsLeft(s serverState) fault.Finding {
	if s.slots >= s.maxSlots && !s.slotExists {
		return fault.Failed(fault.New(fault.SlotsExhausted, "all %d replication slots are in use (max_replication_slots)", s.maxSlots).
			WithFix(fmt.Sprintf("ALTER SYSTEM SET max_replication_slots = %d; -- then restart Postgres", s.maxSlots+10)))
	}
	return fault.Passed(fault.SlotsExhausted, "%d of %d replication slots are in use", s.slots, s.maxSlots)
}

// sendersLeft: a relay of this deployment that leads has its walsender already.
func sendersLeft(s serverState, found *Inspection) fault.Finding {
	if s.senders >= s.maxSenders && !found.Held {
		return fault.Failed(fault.New(fault.SendersExhausted, "all %d walsenders are in use (max_wal_senders)", s.maxSenders).
			WithFix(fmt.Sprintf("ALTER SYSTEM SET max_wal_senders = %d; -- then restart Postgres", s.maxSenders+10)))
	}
	return fault.Passed(fault.SendersExhausted, "%d of %d walsenders are in use", s.senders, s.maxSenders)
}

// connectionsLeft compares what a relay may open with what is left to roles that are not superusers.
func (i Inspector) connectionsLeft(s serverState, role string) fault.Finding {
	wants := int64(i.MaxConns)
	others := s.sessions - s.ours
	switch {
	case s.roleLimit >= 0 && s.roleLimit <= wants: // Postgres counts the role's walsender as well
		return fault.Warning(fault.Connections, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", role, wants+1),
			"the role may open %d connections, and the relay opens up to %d (DATABASE_MAX_CONNS) and a walsender", s.roleLimit, wants)
	case others+wants > s.maxConnections:
		return fault.Warning(fault.Connections,
			fmt.Sprintf("ALTER SYSTEM SET max_connections = %d; -- then restart Postgres, or lower DATABASE_MAX_CONNS", (others+wants)*2+10),
			"others use %d of the server's %d connections, and the relay opens up to %d (DATABASE_MAX_CONNS)", others, s.maxConnections, wants)
	}
	return fault.Passed(fault.Connections, "others use %d of the server's %d connections, the relay at most %d", others, s.maxConnections, wants)
}

func walKeep(s serverState) fault.Finding {
	if s.walKeep == "-1" {
		return fault.Warning(fault.WALKeepUnlimited, "ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'"+reload,
			"max_slot_wal_keep_size is not set: while no relay reads the slot, Postgres keeps WAL until the disk is full")
	}
	return fault.Passed(fault.WALKeepUnlimited, "an unread slot keeps at most %s of WAL (max_slot_wal_keep_size)", s.walKeep)
}

func idleTimeout(s serverState) fault.Finding {
	if s.idleTimeout > 0 {
		return fault.Warning(fault.IdleSlotTimeout, "ALTER SYSTEM SET idle_replication_slot_timeout = 0"+reload,
			"a slot that no relay has read for %s is invalidated (idle_replication_slot_timeout)", s.idleTimeoutText)
	}
	return fault.Passed(fault.IdleSlotTimeout, "no slot is invalidated for being idle")
}

// standbys warns of a standby that commits wait for and that is not there.
func standbys(s serverState, role string) fault.Finding {
	switch {
	case s.standbySlotsDown != "":
		return fault.Warning(fault.SynchronousStandby, "ALTER SYSTEM RESET synchronized_standby_slots"+reload,
			"synchronized_standby_slots names slots that no standby reads (%s): the stream stands still until one does", s.standbySlotsDown)
	case s.standbyNames != "" && !s.standbyConnected && !s.mayReadStats:
		return fault.Warning(fault.SynchronousStandby, "GRANT pg_read_all_stats TO "+role,
			"synchronous_standby_names is set, and the role may not see whether a standby is connected: without one, commits wait, and acceptances with them")
	case s.standbyNames != "" && !s.standbyConnected:
		return fault.Warning(fault.SynchronousStandby, "ALTER SYSTEM SET synchronous_standby_names = ''"+reload+"; -- or start the standby",
			"synchronous_standby_names is set and no synchronous standby is connected: commits wait, and acceptances with them")
	case s.standbyNames != "":
		return fault.Passed(fault.SynchronousStandby, "a synchronous standby is connected")
	}
	return fault.Passed(fault.SynchronousStandby, "commits wait for no standby")
}

func preparedTransactions(s serverState) fault.Finding {
	if s.preparedCount > 0 && !s.slotExists {
		return fault.Warning(fault.PreparedTransactions, s.prepared+"; -- or COMMIT PREPARED, each in its database",
			"%d prepared transactions are open: making the slot waits until each has ended", s.preparedCount)
	}
	if s.preparedCount > 0 {
		return fault.Passed(fault.PreparedTransactions, "%d prepared transactions are open; the slot is there already", s.preparedCount)
	}
	return fault.Passed(fault.PreparedTransactions, "no prepared transaction is open")
}
