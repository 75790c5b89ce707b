package outbox_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/internal/sys"
	"github.com/rollforward/rollforward/outbox"
)

// commits counts the commits that carry a stream.
func commits(t testing.TB, l *eventlog.Log, stream string) int {
	t.Helper()
	seen := map[eventlog.ID]bool{}
	for r, err := range l.Read(t.Context(), eventlog.Query{Stream: stream}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Commit()] = true
	}
	return len(seen)
}

// TestStepsOfOneTargetShareCommits, and run in their order.
func TestStepsOfOneTargetShareCommits(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	var want []int
	home := streamIn(l, "home", 2, true)
	for i := range 300 {
		want = append(want, i)
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			if err := tx.Append(home, Added{i}); err != nil {
				return err
			}
			return outbox.Enqueue(tx, Add{"hot/1", i})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r := runner(l, adding)
	r.Batch = 50
	drain(t, r)
	if diff := cmp.Diff(want, added(t, l, "hot/1")); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if n := commits(t, l, "hot/1"); n > 300/50+2 {
		t.Errorf("%d commits for 300 steps", n)
	}
	if n := len(pending(t, l)); n != 0 {
		t.Errorf("%d steps are pending", n)
	}
}

// TestFailureOfOneStep: its siblings in the commit stay, nothing of it does.
func TestFailureOfOneStep(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]outbox.Handler{
		"error": failing(nil),
		"panic": {Type: "test.fail", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
			if err := tx.Append(s.Stream, Added{1 << 20}); err != nil {
				return err
			}
			if err := outbox.Enqueue(tx, Add{"other/1", 1}); err != nil {
				return err
			}
			panic(errFail)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.New(t)
			enqueue(t, l, Add{"a/1", 1}, Fail{"a/1"}, Add{"a/1", 2})
			drain(t, runner(l, adding, handler))
			if got := added(t, l, "a/1"); !slices.Equal(got, []int{1, 2}) {
				t.Errorf("got %v", got)
			}
			if n := commits(t, l, "a/1"); n != 1 {
				t.Errorf("%d commits", n)
			}
			list := pending(t, l)
			if len(list) != 1 || list[0].Type != "test.fail" || list[0].Attempts != 1 || !strings.Contains(list[0].Err, errFail.Error()) {
				t.Errorf("pending %+v", list)
			}
		})
	}
}

// TestPoisonInFront: any number of failing steps in front of a good one delay it
// by no more than a batch; of another target, not at all.
func TestPoisonInFront(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	var steps []outbox.Step
	for range 300 {
		steps = append(steps, Fail{"a/1"})
	}
	enqueue(t, l, append(steps, Add{"a/1", 1}, Add{"b/1", 1})...)
	r := runner(l, adding, failing(&outbox.Policy{Backoff: time.Hour, MaxBackoff: time.Hour}))
	r.ReadAhead = 64
	drain(t, r)
	for _, s := range []string{"a/1", "b/1"} {
		if got := added(t, l, s); !slices.Equal(got, []int{1}) {
			t.Errorf("%s: %v", s, got)
		}
	}
	if n := len(pending(t, l)); n != len(steps) {
		t.Errorf("%d are pending, want %d", n, len(steps))
	}
	// The cursor has passed those that wait: another runner does not read behind.
	enqueue(t, l, Add{"b/1", 2})
	drain(t, r)
	if got := added(t, l, "b/1"); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("b/1: %v", got)
	}
}

// TestUnknownType: steps that no handler knows stay pending, visible, in
// nobody's way, and run as soon as a runner knows them.
func TestUnknownType(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for i := range 300 {
		enqueue(t, l, named{"test.later", "a/1", i})
	}
	enqueue(t, l, Add{"a/1", 1})
	r := runner(l, adding)
	r.ReadAhead = 64
	drain(t, r)
	if got := added(t, l, "a/1"); !slices.Equal(got, []int{1}) {
		t.Errorf("a/1: %v", got)
	}
	list := pending(t, l)
	if len(list) != 300 || list[0].Type != "test.later" || list[0].Attempts != 0 {
		t.Fatalf("%d pending", len(list))
	}
	n := 0
	drain(t, runner(l, outbox.Handler{Type: "test.later", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		n++
		return nil
	}}))
	if n != 300 || len(pending(t, l)) != 0 {
		t.Errorf("%d ran, %d pending", n, len(pending(t, l)))
	}
}

// TestUnreadableStep: what a later version of this package may store is left to
// a runner of that version, visibly, and is in nobody's way.
func TestUnreadableStep(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	shard := l.ShardOf("a/1")
	for _, e := range []sys.Event{{Type: "$step.future", Data: []byte("{}")}, {Type: "$step.enqueued", Data: []byte(`{"type":7}`)}} {
		if _, err := l.Append(t.Context(), fmt.Sprintf("$steps/%d", shard), nil, e); err != nil {
			t.Fatal(err)
		}
	}
	enqueue(t, l, Add{"a/1", 1})
	drain(t, runner(l, adding))
	drain(t, runner(l, adding))
	if got := added(t, l, "a/1"); !slices.Equal(got, []int{1}) {
		t.Errorf("a/1: %v", got)
	}
	list := pending(t, l)
	if len(list) != 2 || !strings.Contains(list[0].Err, "$step.future") || !strings.Contains(list[1].Err, "json") || list[1].ID.IsZero() {
		t.Errorf("pending %+v", list)
	}
}
