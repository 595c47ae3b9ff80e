package delivery

import (
	"time"

	"attendee-relay/internal/fault"
)

// tasks are what the fault board watches of delivery.
type tasks struct {
	claiming, settling, unstorable, refreshing, sending, connecting *fault.Task
}

func newTasks(board *fault.Board, timeout time.Duration) tasks {
	watch := func(doing string, options ...fault.Option) *fault.Task {
		return board.Task(fault.DeliveryFailing, doing, options...)
	}
	database := fault.Unless(fault.DatabaseUnreachable, fault.InRecovery)
	return tasks{
		claiming:   watch("taking messages from the outbox", database, fault.Locking()),
		settling:   watch("recording the outcomes of messages", database, fault.Locking()),
		unstorable: watch("recording an outcome that the database refuses", database, fault.Locking(), fault.Partly()),
		refreshing: watch("asking for the URLs of messages that were tried before", database, fault.Locking(),
			fault.Allowing(storeTimeout)),
		// An endpoint may take its whole time-out; that is no fault of delivery.
		sending:    watch("sending messages", fault.Allowing(timeout)),
		connecting: watch("opening connections"),
	}
}
