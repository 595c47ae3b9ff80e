package main

import (
	"testing"

	"attendee-relay/internal/relaytest"
)

func TestMain(m *testing.M) { relaytest.Main(m) }
