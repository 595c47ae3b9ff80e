package fault

import "slices"

// requirements names what must hold so that the fault of a code is not there, where the code itself does not say it.
var requirements = map[Code]string{
	Privilege:              "privileges",
	SourceMissing:          "source",
	SourceChanged:          "source_settings",
	SourceDrift:            "source_as_before",
	NoReplicaIdentity:      "replica_identity",
	PublicationMissing:     "publication",
	PublicationUnsafe:      "publication_safe",
	SlotMissing:            "slot",
	SlotLost:               "slot",
	SlotBusy:               "slot",
	SlotPending:            "slot",
	StartPending:           "capture",
	SlotsExhausted:         "slots_left",
	ClusterChanged:         "cluster",
	LSNBehind:              "checkpoint",
	InRecovery:             "primary",
	SchemaNewer:            "schema",
	RowSecurity:            "all_rows_visible",
	QueryInvalid:           "query",
	QueryFailing:           "query_results",
	QueryScan:              "query_indexes",
	AcceptedUnseen:         "accepted_values",
	DatabaseUnreachable:    "database",
	WALKeepUnlimited:       "wal_keep",
	SendersExhausted:       "senders_left",
	ReplicationRefused:     "replication",
	Connections:            "connections_left",
	"encoding_unsupported": "encoding",
	"capture_failing":      "capture",
	"rendering_failing":    "rendering",
	"delivery_failing":     "delivery",
	"retention_failing":    "retention",
}

// Requirement is the name of what a finding of this code requires: "slot" of slot_missing. It is for people; programs
// read the code.
func (c Code) Requirement() string {
	if name, ok := requirements[c]; ok {
		return name
	}
	return string(c)
}

// UnmetCodes lists the codes of the findings of a level, each once, in their order.
func UnmetCodes(findings []Finding, level Level) (codes []string) {
	for _, f := range findings {
		if code := string(f.Code); f.Level == level && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	return codes
}
