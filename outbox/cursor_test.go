package outbox

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
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

func FuzzDecodeCursor(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"at":3,"open":[1,2]}`, `{"at":3,"open":[2,1]}`, `{"at":1,"open":[2]}`, `{"at":-1}`, "x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		c := decodeCursor(value)
		for i, v := range c.Open {
			if v == 0 || v > c.At || i > 0 && v < c.Open[i-1] || c.passed(v) {
				t.Errorf("%q is taken for %+v", value, c)
			}
		}
		if c.passed(c.At + 1) {
			t.Errorf("%+v passes %d", c, c.At+1)
		}
	})
}

// TestStepFromTheFuture: a step whose commit was stamped by a clock ahead of
// ours waits until we can mark it as done at a later time than it was made:
// nobody looks for the mark at earlier ones.
func TestStepFromTheFuture(t *testing.T) {
	t.Parallel()
	ctx, l := context.Background(), eventlogtest.New(t)
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error { return Enqueue(tx, Raw{Type: "x", Stream: "a/1"}) })
	if err != nil {
		t.Fatal(err)
	}
	var it *item
	for r, err := range readSteps(ctx, l, l.ShardOf("a/1"), []uint64{1}) {
		if err != nil {
			t.Fatal(err)
		}
		if it, err = newItem(&r); err != nil {
			t.Fatal(err)
		}
	}
	ran := 0
	roll := func() outcome {
		h := &Handler{Type: "x", Do: func(*eventlog.Tx, Raw) error { ran++; return nil }}
		b := &batch{log: l, handlers: map[string]*Handler{"x": h}, shard: l.ShardOf("a/1"), items: []pending{{it, it.step}}}
		outcomes, err := b.roll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return outcomes[0]
	}
	made := it.time
	it.time = l.Now().Add(time.Hour)
	if o := roll(); o.decided || o.wrote || !o.due.After(it.time) || ran != 0 {
		t.Errorf("%+v after %d runs", o, ran)
	}
	it.time = made
	if o := roll(); !o.decided || !o.wrote || ran != 1 {
		t.Errorf("%+v after %d runs", o, ran)
	}
	if o := roll(); !o.decided || o.wrote || ran != 1 {
		t.Errorf("again: %+v after %d runs", o, ran)
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
