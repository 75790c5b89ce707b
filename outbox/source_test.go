package outbox

import (
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

// testSource is a source at work, without a loop: the test is the loop.
func testSource(t *testing.T, handlers ...Handler) *source {
	t.Helper()
	r := &Runner{Log: eventlogtest.New(t), Handlers: handlers}
	e, err := r.engine()
	if err != nil {
		t.Fatal(err)
	}
	e.work = t.Context()
	s := newSource(e, 0)
	s.loaded, s.epoch = true, 1
	e.sources[0] = s
	return s
}

// testTake makes an item and has the source take it in.
func (s *source) testTake(version uint64, typ, target string) *item {
	it := &item{version: version, id: eventlog.ID{byte(version)}, typ: typ, target: target, time: s.Log.Now()}
	s.took(it)
	return it
}

// testSettle settles an item as its batch would.
func (s *source) testSettle(it *item, o outcome) {
	q := s.queues.take(s.Log.ShardOf(it.target), func(*queue) bool { return true })
	g := s.group(q, 1, 1)
	g.works[0].outcome = o
	s.settle(&batch{engine: s.engine, groups: []*group{g}}, 0, nil)
}

var nothing = func(*eventlog.Tx, Raw) error { return nil }

// TestDecidedWhileInHand: a decision on a dead letter that comes while a batch
// looks at it, perhaps too early to see it, is not lost: the letter is looked at
// once more.
func TestDecidedWhileInHand(t *testing.T) {
	t.Parallel()
	s := testSource(t, Handler{Type: "x", Do: nothing, Policy: Policy{Ordered: true}})
	head := s.testTake(1, "x", "a/1")
	s.testSettle(head, outcome{decided: true, dead: true})
	if s.stops["a/1"] == nil || len(s.hands) != 0 {
		t.Fatal("a dead letter does not stop its target")
	}
	redriven := func(version uint64) {
		s.took(&item{version: version, id: head.id, typ: "x", target: "a/1", again: true})
	}
	redriven(2)
	if s.hands[1] != head {
		t.Fatal("it is not looked at again")
	}
	redriven(3) // dead again, and decided again; the batch under way does not know
	s.testSettle(head, outcome{decided: true, dead: true})
	if s.hands[1] != head {
		t.Error("the second decision is lost")
	}
	s.testSettle(head, outcome{decided: true, wrote: true})
	if len(s.hands) != 0 || len(s.stops) != 0 {
		t.Errorf("%d in hand, %d stops", len(s.hands), len(s.stops))
	}
}

// TestDecidedTwice: a decision that is read again, as after a takeover, does not
// take a letter in hand that is being tried again already.
func TestDecidedTwice(t *testing.T) {
	t.Parallel()
	s := testSource(t, Handler{Type: "x", Do: nothing, Policy: Policy{Ordered: true}})
	head := s.testTake(1, "x", "a/1")
	due := s.Log.Now().Add(time.Hour)
	s.testSettle(head, outcome{wrote: true, due: due, attempt: 1})
	s.took(&item{version: 2, id: head.id, typ: "x", target: "a/1", again: true})
	if s.hands[1] != nil || !head.due.Equal(due) {
		t.Error("it is tried before its time")
	}
	s.wake(due.Add(1))
	if s.hands[1] != head || s.lanes["a/"].held != 1 {
		t.Errorf("%d in hand", s.lanes["a/"].held)
	}
}

// TestParkedStepInHand: a parked step that the source has read from the log, too,
// is in hand once; when it is done its cell goes, and its tenant has its room.
func TestParkedStepInHand(t *testing.T) {
	t.Parallel()
	s := testSource(t, Handler{Type: "x", Do: nothing})
	for version := range uint64(3) {
		it := &item{version: version + 1, id: eventlog.ID{byte(version)}, typ: "x", target: "a/1", time: s.Log.Now()}
		if _, err := s.Log.SwapCell(t.Context(), parkedKey(0, "x", it.version), 0, it.header()); err != nil {
			t.Fatal(err)
		}
	}
	s.parked = []parkedType{{typ: "x", from: parkedKey(0, "x", 0)}}
	first, second := s.testTake(1, "x", "a/1"), s.testTake(2, "x", "a/1")
	s.testSettle(first, outcome{decided: true, wrote: true})
	then, err := s.unpark(time.Now())(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	then()
	third := s.hands[3]
	if s.hands[2] != second || third == nil {
		t.Fatalf("%d in hand", len(s.hands))
	}
	for _, it := range []*item{s.hands[1], second, third} { // the first is read again, and looked up
		s.testSettle(it, outcome{decided: true})
	}
	if len(s.lanes)+len(s.hands)+len(s.queues.byTarget) != 0 || len(s.drops) != 3 {
		t.Errorf("%d lanes, %d in hand, %d cells to be removed", len(s.lanes), len(s.hands), len(s.drops))
	}
}
