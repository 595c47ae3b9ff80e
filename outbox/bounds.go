package outbox

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
)

// The bounds of what is held in memory of acceptances and messages, in bytes. Beside them the driver holds the row
// that it reads, up to twice its size, and the statement that it sends.
const (
	// maxRow is the most that a row of the payload query may take; a larger one is not read (contract, section 2,
	// point 7).
	maxRow = 32 << 20
	// maxBatch is the most that is kept of the answer for several keys, and the most that the bodies of one statement
	// take, unless it has one message only.
	maxBatch = 4 << 20
	// maxKey is the most that is kept of the answer for a single key, before its rows are written as they are read.
	// Rows with the same body keep one.
	maxKey = 8 << 20
	// maxWords is the most that a row's ids, URL and secret may take together.
	maxWords = 128 << 10
)

// bounds are those of one answer.
type bounds struct {
	// body is the most that one body may take: a larger one is measured, and not kept. 0: none is kept.
	body int
	// answer is the most that is kept of all rows together. Where there is a spill, it takes what is kept then.
	answer int
	spill  func([]payload) error
}

// boundsFor are those of the answer for so many keys.
func boundsFor(keys, body int) bounds {
	if keys == 1 {
		return bounds{body: body, answer: maxKey}
	}
	return bounds{body: body, answer: maxBatch}
}

// answerError says that an answer of the payload query is larger than what is read. The connection that it came on is
// closed.
type answerError struct{ text string }

// Error implements error. The text names no value.
func (e *answerError) Error() string { return e.text }

// errAnswer: the rows that were asked for are too large together. Fewer keys are asked for then, and the rows of a
// single one are written as they are read.
var errAnswer = &answerError{"the payload query gives more at once than is held in memory"}

// tooLarge names the driver's error for a row above maxRow.
func tooLarge(err error) error {
	var exceeded *pgproto3.ExceededMaxBodyLenErr
	if !errors.As(err, &exceeded) {
		return err
	}
	return &answerError{fmt.Sprintf("the payload query gives a row of %d bytes, and rows above %d MiB are not read; "+
		"make its texts shorter", exceeded.ActualBodyLen, maxRow>>20)}
}

// isTooLarge reports whether fewer keys may be read where so many cannot.
func isTooLarge(err error) bool {
	var size *answerError
	return errors.As(err, &size)
}

// portion is how many keys one payload query is asked for, by what their rows took of late.
type portion struct{ keys, most int }

func newPortion(most int) portion { return portion{keys: most, most: most} }

// halve is for an answer that was too large.
func (p *portion) halve(keys int) { p.keys = max(1, keys/2) }

// learn takes the answer for so many keys, of which so many bytes were kept, as a measure for the next, leaving as
// much room again.
func (p *portion) learn(keys, held int) {
	p.keys = p.most
	if held > 0 {
		p.keys = min(p.most, max(1, keys*(maxBatch/2)/held))
	}
}
