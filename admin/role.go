package admin

// Role is what this process does now.
type Role string

const (
	// Starting processes have not found out yet; /readyz shows them as a standby that is not ready.
	Starting Role = ""
	// Leader is the process that holds the slot and captures.
	Leader Role = "leader"
	// Standby processes deliver, and wait for the slot.
	Standby Role = "standby"
)
