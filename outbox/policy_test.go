package outbox

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

func FuzzDecodeMark(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"at":3,"epoch":2,"due":1}`, `{"due":-1}`, `{"at":-1}`, "x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		m := decodeMark(value)
		if m.Due < 0 || m.Parked < 0 || m.Stopped < 0 {
			t.Errorf("%q is taken for %+v", value, m)
		}
		if again := decodeMark(m.encode()); again != m {
			t.Errorf("%+v becomes %+v", m, again)
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
		if it = newItem(&r); it.err != nil {
			t.Fatal(it.err)
		}
	}
	ran := 0
	roll := func() outcome {
		h := &Handler{Type: "x", Do: func(*eventlog.Tx, Raw) error { ran++; return nil }}
		it.src, it.handler = &source{shard: l.ShardOf("a/1")}, h
		w := &work{item: it, stored: it.raw}
		b := &batch{engine: &engine{lead: newLead(), options: options{Log: l, Batch: 1}}, shard: l.ShardOf("a/1"), groups: []*group{{queue: &queue{target: "a/1"}, works: []*work{w}}}}
		if err := b.roll(ctx); err != nil {
			t.Fatal(err)
		}
		return w.outcome
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

// TestSameStepTwiceInABatch: however often a batch has a step, such as one that
// was read again behind a takeover, and once more because it was redriven, its
// effect happens once.
func TestSameStepTwiceInABatch(t *testing.T) {
	t.Parallel()
	ctx, l := context.Background(), eventlogtest.New(t)
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error { return Enqueue(tx, Raw{Type: "x", Stream: "a/1"}) })
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	h := &Handler{Type: "x", Do: func(*eventlog.Tx, Raw) error { ran++; return nil }}
	shard := l.ShardOf("a/1")
	g := &group{queue: &queue{target: "a/1"}}
	for range 3 {
		for r, err := range readSteps(ctx, l, shard, []uint64{1}) {
			if err != nil {
				t.Fatal(err)
			}
			it := newItem(&r)
			it.src, it.handler = &source{shard: shard}, h
			g.works = append(g.works, &work{item: it, stored: it.raw})
		}
	}
	b := &batch{engine: &engine{lead: newLead(), options: options{Log: l, Batch: 8}}, shard: shard, groups: []*group{g}}
	if err := b.roll(ctx); err != nil {
		t.Fatal(err)
	}
	for i, w := range g.works {
		if !w.outcome.decided || w.outcome.wrote != (i == 0) {
			t.Errorf("%d: %+v", i, w.outcome)
		}
	}
	if ran != 1 {
		t.Errorf("it ran %d times", ran)
	}
}
