package outbox

import (
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// bodies are the bodies of a batch's messages, as one parameter. pgx's buffer grows by a quarter at a time: for half a
// megabyte it would allocate five times as much memory, all of it cleared and copied. bodies announces its size first.
type bodies [][]byte

// useBodies has the connection take bodies as a parameter.
func useBodies(conn *pgx.Conn) {
	m := conn.TypeMap()
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapBodies}, m.TryWrapEncodePlanFuncs...)
}

func wrapBodies(value any) (plan pgtype.WrappedEncodePlanNextSetter, next any, ok bool) {
	b, ok := value.(bodies)
	return &encodeBodies{}, pgtype.FlatArray[[]byte](b), ok
}

// encodeBodies implements pgtype.WrappedEncodePlanNextSetter.
type encodeBodies struct{ next pgtype.EncodePlan }

func (e *encodeBodies) SetNext(next pgtype.EncodePlan) { e.next = next }

func (e *encodeBodies) Encode(value any, buf []byte) ([]byte, error) {
	b := value.(bodies) //nolint:forcetypeassert // wrapBodies has seen to it
	size := 0
	for _, body := range b {
		size += 4 + len(body) // each has its length before it
	}
	// The batch's other parameters, which are smaller, come into the same buffer.
	return e.next.Encode(pgtype.FlatArray[[]byte](b), slices.Grow(buf, size+size/4))
}
