package outbox

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

func typesWithBodies() *pgtype.Map {
	m := pgtype.NewMap()
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapBodies}, m.TryWrapEncodePlanFuncs...)
	return m
}

func manyBodies() bodies {
	var b bodies
	for range 250 {
		b = append(b, bytes.Repeat([]byte("x"), 1200))
	}
	return b
}

func TestBodiesAreEncodedAsAnArrayOfTexts(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]bodies{"none": {}, "empty": {{}}, "many": manyBodies()} {
		want, err := pgtype.NewMap().Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, pgtype.FlatArray[[]byte](b),
			[]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := typesWithBodies().Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, b, []byte("before"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes (%v), want those %d of a FlatArray", name, len(got), err, len(want))
		}
	}
}

func BenchmarkBodies(b *testing.B) {
	types, values := typesWithBodies(), manyBodies()
	for name, value := range map[string]any{"bodies": values, "flat_array": pgtype.FlatArray[[]byte](values)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := types.Encode(pgtype.TextArrayOID, pgtype.BinaryFormatCode, value, make([]byte, 0, 256)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
