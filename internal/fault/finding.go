package fault

import "fmt"

// Level says how much a Finding matters.
type Level string

// The levels of the public contract, section 6.
const (
	// OK: the requirement is met.
	OK Level = "ok"
	// Warn: the relay works, and something around it will hurt one day.
	Warn Level = "warn"
	// Fail: run would do nothing, or not all.
	Fail Level = "fail"
)

// Codes of requirements that no running stage raises as a fault: only an inspection looks at them.
const (
	// WALKeepUnlimited: a relay that is down would keep WAL until the disk is full.
	WALKeepUnlimited Code = "wal_keep_unlimited"
	// SenderTimeout: REPLICATION_TAKEOVER does not reach the server.
	SenderTimeout Code = "sender_timeout"
	// IdleSlotTimeout: the server invalidates the slot of a relay that is down.
	IdleSlotTimeout Code = "idle_slot_timeout"
	// SynchronousStandby: commits, and with them acceptances, wait for a standby.
	SynchronousStandby Code = "synchronous_standby"
	// PreparedTransactions: making the slot waits for them.
	PreparedTransactions Code = "prepared_transactions"
	// SendersExhausted: there is no walsender left.
	SendersExhausted Code = "senders_exhausted"
	// ReplicationRefused: the connection string for replication opens no replication connection.
	ReplicationRefused Code = "replication_refused"
	// QueryScan: the payload query reads a whole table each time.
	QueryScan Code = "query_scan"
	// AcceptedUnseen: no row of the watched table has an accepted value.
	AcceptedUnseen Code = "accepted_unseen"
	// SearchPath: somebody else may create functions where the payload query looks names up.
	SearchPath Code = "search_path"
	// SameDatabase: the two connection strings lead to different databases.
	SameDatabase Code = "same_database"
	// Inheritance: tables inherit from the watched one, and their rows are not watched.
	Inheritance Code = "inheritance"
	// Connections: the server has fewer connections left than the relay may open.
	Connections Code = "connections"
)

// CheckCodes lists the codes that only a check has; Codes has the others.
var CheckCodes = []Code{
	WALKeepUnlimited, SenderTimeout, IdleSlotTimeout, SynchronousStandby, PreparedTransactions, SendersExhausted,
	ReplicationRefused, QueryScan, AcceptedUnseen, SameDatabase, Connections, Inheritance, SearchPath,
}

// Finding is an inspection's result for one requirement: met or not, and the SQL or setting that fixes it.
type Finding struct {
	Code    Code   `json:"code"`
	Level   Level  `json:"level"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

// Passed says that a requirement is met.
func Passed(code Code, format string, args ...any) Finding {
	return Finding{Code: code, Level: OK, Message: fmt.Sprintf(format, args...)}
}

// Warning says that a requirement is not met but the relay still works; fix is how to meet it.
func Warning(code Code, fix, format string, args ...any) Finding {
	return Finding{Code: code, Level: Warn, Message: fmt.Sprintf(format, args...), Fix: fix}
}

// Failed says that a requirement is not met, as the fault that run would show.
func Failed(f *Fault) Finding {
	return Finding{Code: f.Code, Level: Fail, Message: f.Message, Fix: f.Fix}
}

// Unasked is the finding for a requirement that could not be judged because the role lacks a right; denied names the
// right.
func Unasked(code Code, level Level, denied *Fault) Finding {
	return Finding{Code: code, Level: level, Message: "not known: " + denied.Message, Fix: denied.Fix}
}

// Failing returns those of the findings that are not met.
func Failing(findings []Finding) (failing []Finding) {
	for _, f := range findings {
		if f.Level == Fail {
			failing = append(failing, f)
		}
	}
	return failing
}
