package replication

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

func testInsert(id string) []byte {
	return appendTuple(append(binary.BigEndian.AppendUint32([]byte{'I'}, 7), 'N'), id, "Accepted")
}

// A transaction with long texts comes in as many parts as its bytes ask for, one with short ones in as many as its
// changes do.
func TestPartsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, changes, parts int }{
		"short texts":     {text: 8, changes: 250, parts: 2},
		"long texts":      {text: 10 * changeBytes, changes: 250, parts: 25}, // the key; of the identity only a hash is kept
		"one, very long":  {text: 1000 * changeBytes, changes: 1, parts: 1},
		"some, very long": {text: 1000 * changeBytes, changes: 3, parts: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAssembler(testSource(), 100)
			parts := 0
			inserts := repeated(testInsert(strings.Repeat("1", c.text)), c.changes)
			for _, message := range append([][]byte{relation(), begin()}, inserts...) {
				part, err := a.take(message)
				if err != nil {
					t.Fatal(err)
				}
				if part != nil {
					parts++
				}
			}
			if parts != c.parts {
				t.Errorf("it came in %d parts, not %d", parts, c.parts)
			}
		})
	}
}

func repeated(message []byte, n int) (list [][]byte) {
	for range n {
		list = append(list, message)
	}
	return list
}

// What is queued is bounded in bytes; what alone is larger passes when nothing else is there.
func TestQueueIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	q := newQueue()
	long := item{commit: &Commit{Changes: []Change{{Identity: strings.Repeat("1", queueWeight*changeBytes/2)}}}}
	huge := item{commit: &Commit{Changes: []Change{{Key: TextValue(strings.Repeat("1", 2*queueWeight*changeBytes))}}}}
	put := func(it item, want bool) {
		t.Helper()
		full, err := q.put(t.Context(), it, time.Microsecond)
		if err != nil || full == want {
			t.Errorf("it was full: %v, %v", full, err)
		}
	}
	put(long, true)
	put(item{commit: &Commit{Changes: make([]Change, 10)}}, true)
	put(long, false)
	put(huge, false)
	batch, err := q.batch(t.Context(), batchChanges)
	if err != nil || len(batch) != 1 {
		t.Fatalf("a batch of %d items, %v", len(batch), err)
	}
	q.release(newBatch(batch).weight)
	put(huge, false)
	if batch, err = q.batch(t.Context(), batchChanges); err != nil {
		t.Fatal(err)
	}
	q.release(newBatch(batch).weight)
	put(huge, true)
	put(item{}, false)
}

// Nothing of a long message is kept but what was asked for.
func TestLongMessageIsNotKept(t *testing.T) {
	t.Parallel()
	a := newAssembler(testSource(), 100)
	message := appendTuple(append(binary.BigEndian.AppendUint32([]byte{'U'}, 7), 'N'), "1", strings.Repeat("x", 1<<20))
	for _, m := range [][]byte{relation(), begin(), message} {
		if _, err := a.take(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range a.change.room {
		for _, f := range row.fields {
			if f.text != nil {
				t.Errorf("%d bytes of it are kept", len(f.text))
			}
		}
	}
	clear(message)
	if got := a.open.Changes[0].Identity; got != "1" {
		t.Errorf("the identity has become %q", got)
	}
}
