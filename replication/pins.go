package replication

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"attendee-relay/internal/fault"
)

// Pins are the catalog's objects that the stream depends on, kept with the checkpoint. One recreated under the same
// name is another: what was committed in between is not in the stream.
type Pins struct {
	// Slot is the slot's name.
	Slot        string `json:"slot,omitempty"`
	Table       uint32 `json:"table"`
	Publication uint32 `json:"publication"`
	Membership  uint32 `json:"membership"`
	// Versions are the transactions that last wrote the publication and the membership: an ALTER that was taken back
	// leaves no other trace.
	Versions string `json:"versions,omitempty"`
	// Columns are the identity, the key and the status.
	Columns []PinnedColumn `json:"columns,omitempty"`
	// Labels are the oids of the accepted values, if the status is made of enums. They may also be missing because an
	// earlier version, which did not keep them, wrote the pins.
	Labels []uint32 `json:"labels,omitempty"`
}

// PinnedColumn is a column that is read.
type PinnedColumn struct {
	Name   string `json:"name"`
	Number int16  `json:"number"`
	Type   string `json:"type"`
}

// pin records the objects that a source depends on; checkPublication fills in publication, membership and their
// versions.
func (s *Source) pin() Pins {
	p := Pins{Table: s.OID}
	for _, c := range append(slices.Clone(s.Identity), s.Key, s.Status) {
		p.Columns = append(p.Columns, PinnedColumn{Name: c.Name, Number: c.Number, Type: c.TypeName})
	}
	for _, accepted := range s.stream.accepted {
		s.labels.each(accepted, func(_ string, oid uint32) { p.Labels = append(p.Labels, oid) })
	}
	slices.Sort(p.Labels)
	p.Labels = slices.Compact(p.Labels)
	return p
}

// same reports whether the catalog still shows this source. A label added to an enum changes nothing.
func (s *Source) same(now *Source) bool {
	a, b := *s, *now
	a.labels, b.labels = nil, nil
	return reflect.DeepEqual(a, b)
}

// drifted returns a fault when the columns mean something else than they did: their rows cannot be compared with the
// ledger without somebody saying so. Columns that are there again, or a table recreated with the same ones, can.
func (p Pins) drifted(now Pins, table string) *fault.Fault {
	if p.Columns == nil {
		return nil
	}
	why := ""
	types := func(columns []PinnedColumn) map[string]string {
		byName := map[string]string{}
		for _, c := range columns {
			byName[c.Name] = c.Type
		}
		return byName
	}
	was, is := types(p.Columns), types(now.Columns)
	switch {
	case !slices.Equal(slices.Sorted(maps.Keys(was)), slices.Sorted(maps.Keys(is))):
		why = "another column identifies its rows than when streaming began"
	case !maps.Equal(was, is):
		for _, name := range slices.Sorted(maps.Keys(was)) {
			if was[name] != is[name] {
				why = cmp.Or(why, fmt.Sprintf("column %q was of type %s and is of type %s", name, was[name], is[name]))
			}
		}
	case p.Table == now.Table && len(p.Labels) > 0 && !slices.Equal(p.Labels, now.Labels):
		why = "the accepted values of its status are other ones under the same names"
	default:
		return nil
	}
	return fault.New(fault.SourceDrift, "%s was altered: %s", table, why).
		WithFix("change it back; or compare ledger and table as they are now: attendee-relay adopt --keep-pending --yes")
}

// remade returns a fault when one of the objects was recreated or altered: what was committed meanwhile may not be in
// the stream.
func (p Pins) remade(now Pins, table string) *fault.Fault {
	numbers := func(columns []PinnedColumn) map[string]int16 {
		byName := map[string]int16{}
		for _, c := range columns {
			byName[c.Name] = c.Number
		}
		return byName
	}
	same := p.Table == now.Table && p.Publication == now.Publication && p.Membership == now.Membership &&
		(p.Versions == "" || p.Versions == now.Versions) &&
		(p.Columns == nil || maps.Equal(numbers(p.Columns), numbers(now.Columns)))
	if same {
		return nil
	}
	return fault.New(fault.SourceDrift, "%s, its publication or its place in the publication was recreated or altered: "+
		"what was committed meanwhile may not be in the stream", table)
}
