package outbox

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

// drawCursor draws a cursor as a dispatcher makes it.
func drawCursor(t *rapid.T, name string) cursor {
	c := cursor{At: rapid.Uint64Range(0, 20).Draw(t, name)}
	if c.At > 0 {
		c.Open = rapid.SliceOfDistinct(rapid.Uint64Range(1, c.At), rapid.ID).Draw(t, name+" open")
		slices.Sort(c.Open)
	}
	return c
}

// TestCursorsJoin: the join of two cursors passes what either passes, and
// nothing else; in whatever order they are joined.
func TestCursorsJoin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c, d := drawCursor(t, "c"), drawCursor(t, "d")
		both := c.join(d)
		for v := uint64(1); v < 25; v++ {
			if want := c.passed(v) || d.passed(v); both.passed(v) != want {
				t.Fatalf("%+v join %+v = %+v: passed(%d) is %v", c, d, both, v, !want)
			}
		}
		if diff := cmp.Diff(both, d.join(c)); diff != "" {
			t.Fatalf("the order matters: %s", diff)
		}
	})
}

// TestBookmarkIsShared: dispatchers that know of each other nothing but the cell
// lose nothing that one of them knew.
func TestBookmarkIsShared(t *testing.T) {
	t.Parallel()
	ctx, l := context.Background(), eventlogtest.New(t)
	first, second := cursor{At: 5, Open: []uint64{2, 4}}, cursor{At: 9, Open: []uint64{1, 2, 7}}
	var absent bookmark
	mine, err := absent.save(ctx, l, 3, first)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := absent.save(ctx, l, 3, second) // the cell is not absent any more
	if err != nil {
		t.Fatal(err)
	}
	want := cursor{At: 9, Open: []uint64{2, 7}}
	if diff := cmp.Diff(want, theirs.cursor); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if mine, err = mine.save(ctx, l, 3, cursor{At: 6, Open: []uint64{4}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cursor{At: 9, Open: []uint64{7}}, mine.cursor); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stored, err := readBookmark(ctx, l, 3)
	if err != nil {
		t.Fatal(err)
	}
	if stored.version != mine.version || !cmp.Equal(stored.cursor, mine.cursor) {
		t.Errorf("stored %+v, known %+v", stored, mine)
	}
}

// TestPolicyDelays doubles the pauses up to the limit, less a random part of up
// to a half.
func TestPolicyDelays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		attempt := rapid.IntRange(1, 1000).Draw(t, "attempt")
		p := Policy{}
		most := min(defaultBackoff<<min(attempt-1, 20), defaultMaxBackoff)
		if d := p.delay(attempt); d > most || d < most/2 {
			t.Fatalf("attempt %d: %v, want %v to %v", attempt, d, most/2, most)
		}
	})
	for attempt, want := range map[int]bool{15: false, 16: true, 17: true} {
		if (Policy{}).exhausted(attempt) != want {
			t.Errorf("attempt %d: exhausted is %v", attempt, !want)
		}
	}
	if (Policy{Attempts: -1}).exhausted(1 << 30) {
		t.Error("an endless policy ends")
	}
}
