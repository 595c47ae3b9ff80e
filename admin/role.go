package admin

// Role is what this process does now.
type Role string

const (
	// Starting processes have not found out yet; /readyz shows them as a standby that is not ready.
	Starting Role = ""
	// Resuming processes led until now and are regaining the slot; /readyz shows them as a standby that is ready until
	// there is a fault.
	Resuming Role = "resuming"
	// Leader is the process that holds the slot and captures.
	Leader Role = "leader"
	// Standby processes deliver, and wait for the slot.
	Standby Role = "standby"
)
