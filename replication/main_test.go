package replication

import (
	"testing"

	"attendee-relay/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
