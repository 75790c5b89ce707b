package eventlog

import (
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestIDText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var id ID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		if id.IsZero() {
			return
		}
		text, err := id.MarshalText()
		if err != nil || string(text) != id.String() {
			t.Fatalf("text %q, %v, expected %q", text, err, id)
		}
		if back, err := ParseID(string(text)); err != nil || back != id {
			t.Fatalf("%q reads back as %v, %v", text, back, err)
		}
	})
	zero := testID(1)
	if err := zero.UnmarshalText(nil); err != nil || !zero.IsZero() {
		t.Errorf("the empty text is %v, %v, expected the zero id", zero, err)
	}
	if text, err := (ID{}).MarshalText(); err != nil || len(text) != 0 {
		t.Errorf("the zero id is %q, %v, expected the empty text", text, err)
	}
	if got, want := testID(0).String(), "00010203-0405-0607-0809-0a0b0c0d0e0f"; got != want {
		t.Errorf("text %q, expected %q", got, want)
	}
	for _, bad := range []string{"x", "00010203-0405-0607-0809-0a0b0c0d0e0", strings.Repeat("z", 36)} {
		if id, err := ParseID(bad); err == nil {
			t.Errorf("%q reads as %v", bad, id)
		}
	}
}

// TestIDOfEvent: an event's id tells its transaction's and its number.
func TestIDOfEvent(t *testing.T) {
	t.Parallel()
	tx := newID()
	for _, n := range []int{0, 1, 254, 255, 256, MaxEvents - 1} {
		id := tx.event(n)
		if id == tx {
			t.Errorf("event %d has the transaction's id", n)
		}
		if got, i := id.commit(); got != tx || i != n {
			t.Errorf("event %d: transaction %v, number %d; expected %v", n, got, i, tx)
		}
	}
	if tx[6]>>4 != 7 || tx[8]>>6 != 2 {
		t.Errorf("%v is no UUIDv7", tx)
	}
}

// TestNewIDsDiffer: also those made at the same moment.
func TestNewIDsDiffer(t *testing.T) {
	t.Parallel()
	const each = 5000
	lists := make([][]ID, 8)
	var wg sync.WaitGroup
	for i := range lists {
		wg.Go(func() {
			for range each {
				lists[i] = append(lists[i], newID())
			}
		})
	}
	wg.Wait()
	seen := make(map[ID]bool)
	for _, list := range lists {
		for _, id := range list {
			if seen[id] {
				t.Fatalf("%v was made twice", id)
			}
			seen[id] = true
		}
	}
}
