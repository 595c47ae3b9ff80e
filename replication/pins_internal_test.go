package replication

import "testing"

// Pins of a version that knew no labels of a domain or an array say nothing of them.
func TestPinsWithoutLabelsAreNoDrift(t *testing.T) {
	t.Parallel()
	columns := []PinnedColumn{{Name: "status", Number: 2, Type: "public.state"}}
	was, is := Pins{Table: 1, Columns: columns}, Pins{Table: 1, Columns: columns, Labels: []uint32{10}}
	if f := was.drifted(is, "t"); f != nil {
		t.Errorf("it is taken for drift: %v", f)
	}
	was.Labels = []uint32{9}
	if was.drifted(is, "t") == nil {
		t.Error("another label is no drift")
	}
}
