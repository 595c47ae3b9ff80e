package replication

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Postgres keeps names in 63 bytes (NAMEDATALEN - 1) and cuts longer ones off.
const maxName = 63

// The library that speaks the replication protocol puts the names of slot and publication into commands as they stand:
// nothing that would need a quote may pass. A slot's name has these characters in every version of Postgres
// (ReplicationSlotValidateName); a publication's could have others, and is held to what needs no quotes.
var (
	slotPattern        = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
	publicationPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
)

// The server counts wal_sender_timeout in milliseconds and 0 switches it off; below a second a leader under load would
// lose its slot, above an hour a frozen one would keep it.
const (
	minTakeover = time.Second
	maxTakeover = time.Hour
)

// Validate reports everything that is wrong with the settings and can be seen without the database. No value is shown.
func (c Config) Validate() (faults []error) {
	add := func(name, accepted string) { faults = append(faults, fmt.Errorf("%s: %s", name, accepted)) }

	if !validTable(c.Table) {
		add("SOURCE_TABLE", "it must be schema.table, with one dot, each name of 1 to 63 bytes in its own case and without "+
			"quotes")
	}
	if !validName(c.Key) {
		add("SOURCE_KEY", "it must be a column's name of 1 to 63 bytes, in its own case and without quotes")
	}
	if !validName(c.Status) {
		add("SOURCE_STATUS", "it must be a column's name of 1 to 63 bytes, in its own case and without quotes")
	}
	if fault := acceptedFault(c.Accepted); fault != "" {
		add("SOURCE_ACCEPTED", fault)
	}
	if !slotPattern.MatchString(c.Slot) {
		add("REPLICATION_SLOT", "it must have 1 to 63 of a-z, 0-9 and _")
	}
	if !publicationPattern.MatchString(c.Publication) {
		add("REPLICATION_PUBLICATION", "it must have 1 to 63 of a-z, 0-9 and _, and not begin with a digit")
	}
	if c.Setup != "auto" && c.Setup != "manual" {
		add("REPLICATION_SETUP", "it must be auto or manual")
	}
	if c.OnLoss != "resync" && c.OnLoss != "stop" {
		add("REPLICATION_ON_LOSS", "it must be resync or stop")
	}
	if c.Takeover < minTakeover || c.Takeover > maxTakeover {
		add("REPLICATION_TAKEOVER", "it must be 1s to 1h")
	}
	return faults
}

// validTable holds for schema.table. The dot between the two is the only one: a name is written as the catalog has it,
// so quotes would be taken for a part of it, and a name with a dot in it could be cut in two ways.
func validTable(table string) bool {
	schema, name, _ := strings.Cut(table, ".")
	return validName(schema) && validName(name) && !strings.Contains(name, ".")
}

func validName(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsAny(name, "\"\x00") && strings.TrimSpace(name) == name
}

// acceptedFault reports what is wrong with the list of accepted values; nothing: "".
func acceptedFault(values []string) string {
	if len(values) == 0 {
		return "it must list one value at least"
	}
	position := map[string]int{}
	for i, value := range values {
		if value == "" || strings.TrimSpace(value) != value {
			return fmt.Sprintf("element %d of the list is empty or has blanks around it", i+1)
		}
		if first, again := position[value]; again {
			return fmt.Sprintf("elements %d and %d of the list are the same", first, i+1)
		}
		position[value] = i + 1
	}
	return ""
}
