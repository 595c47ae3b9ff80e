// Package bytesize reads sizes as operators write them: 4MiB, 512KiB or plain bytes.
//
// A size that it returns is never negative, and what it does not understand is an error that does not repeat the
// text. config decodes variables with it; stages use the Size as a number of bytes.
package bytesize

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// The units, largest first. Decimal ones (MB) are refused: people mean either by them.
var units = []struct {
	name string
	size Size
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

var errNotUnderstood = errors.New("it is not a size such as 4MiB, 512KiB or 1000000")

// Parse reads a whole number of bytes, or of KiB, MiB or GiB when it is followed by that unit.
func Parse(text string) (Size, error) {
	unit := Size(1)
	for _, u := range units {
		if number, found := strings.CutSuffix(text, u.name); found {
			text, unit = number, u.size
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text || n > math.MaxInt64/int64(unit) {
		return 0, errNotUnderstood
	}
	return Size(n) * unit, nil
}

// UnmarshalText implements encoding.TextUnmarshaler by Parse.
func (s *Size) UnmarshalText(text []byte) error {
	size, err := Parse(string(text))
	if err == nil {
		*s = size
	}
	return err
}

// String writes a size with the largest unit that it is a whole number of.
func (s Size) String() string {
	for _, u := range units {
		if s >= u.size && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
