package outbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
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

// TestRetriesAreDurable: attempts and pauses go on where they were after a
// restart, until the step is dead.
func TestRetriesAreDurable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		begin := time.Now()
		enqueue(t, l, Fail{"a/1"})
		policy := &outbox.Policy{Attempts: 5, Backoff: time.Second, MaxBackoff: 4 * time.Second}
		pauses := []time.Duration{1, 2, 4, 4}
		for i, pause := range pauses {
			drain(t, runner(l, failing(policy)))
			drain(t, runner(l, failing(policy))) // not due: nothing happens
			list := pending(t, l)
			if len(list) != 1 || list[0].Attempts != i+1 || !list[0].First.Equal(list[0].First) {
				t.Fatalf("after attempt %d: %+v", i+1, list)
			}
			wait := time.Until(list[0].Due)
			if wait > pause*time.Second || wait < pause*time.Second/2-time.Millisecond {
				t.Errorf("attempt %d is followed by a pause of %v, want %v to %v", i+1, wait, pause*time.Second/2, pause*time.Second)
			}
			time.Sleep(wait + time.Millisecond)
		}
		if len(dead(t, l)) != 0 {
			t.Error("dead before its time")
		}
		drain(t, runner(l, failing(policy)))
		if n := len(pending(t, l)); n != 0 {
			t.Errorf("%d steps are pending", n)
		}
		list := dead(t, l)
		if len(list) != 1 {
			t.Fatalf("%d dead letters", len(list))
		}
		d := list[0]
		if !d.Dead || d.Attempts != 5 || d.Err != errFail.Error() || d.Target != "a/1" || string(d.Data) != `{"To":"a/1"}` ||
			d.Chain.IsZero() || d.First.Sub(begin) > time.Second || d.Time.Sub(begin) > time.Second {
			t.Errorf("dead letter %+v", d)
		}
		if got := added(t, l, "a/1"); len(got) != 0 {
			t.Errorf("a step that failed left %v", got)
		}
		drain(t, runner(l, failing(policy)))
		if n := len(dead(t, l)); n != 1 {
			t.Errorf("%d dead letters after another look", n)
		}
	})
}

// TestRunRetries: a running runner comes back by itself, once the pause is over.
func TestRunRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		var times []time.Time
		flaky := outbox.On(func(tx *eventlog.Tx, f Fail) error {
			times = append(times, time.Now())
			if len(times) < 4 {
				return errFail
			}
			return tx.Append(f.To, Added{1})
		}, &outbox.Policy{Backoff: time.Minute, MaxBackoff: time.Hour})
		r := runner(l, flaky)
		r.Sweep = time.Hour // the alarm wakes it, not the sweep
		start(t, r)
		enqueue(t, l, Fail{"a/1"})
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if len(times) != 4 || len(pending(t, l)) != 0 {
			t.Fatalf("%d attempts, %v", len(times), pending(t, l))
		}
		for i := range 3 {
			if pause, most := times[i+1].Sub(times[i]), time.Minute<<i; pause < most/2-time.Second || pause > most+time.Second {
				t.Errorf("pause %d is %v, want %v to %v", i, pause, most/2, most)
			}
		}
	})
}

func TestAbort(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	var runs atomic.Int32
	h := outbox.On(func(tx *eventlog.Tx, f Fail) error {
		runs.Add(1)
		return fmt.Errorf("no way: %w", outbox.Abort(errFail))
	}, nil)
	enqueue(t, l, Fail{"a/1"})
	enqueue(t, l, outbox.Raw{Type: "test.fail", Stream: "b/1", Data: []byte(`{"To":7}`)}) // cannot be decoded
	drain(t, runner(l, h))
	if runs.Load() != 1 {
		t.Errorf("%d runs", runs.Load())
	}
	list := dead(t, l)
	if len(list) != 2 {
		t.Fatalf("dead letters %+v", list)
	}
	for _, d := range list {
		if d.Attempts != 1 || d.Target == "a/1" && d.Err != "no way: out of order" || d.Target == "b/1" && !strings.Contains(d.Err, "decode") {
			t.Errorf("dead letter %+v", d)
		}
	}
	if outbox.Abort(nil) != nil || outbox.Aborted(errFail) || !errors.Is(outbox.Abort(errFail), errFail) {
		t.Error("Abort does not keep its word")
	}
}

// TestFailed: what Failed writes stands in place of the dead letter.
func TestFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		h := failing(&outbox.Policy{Attempts: 2})
		trouble := 3
		h.Failed = func(tx *eventlog.Tx, s outbox.Raw, err error) error {
			if trouble--; trouble > 0 {
				return errors.New("not now")
			}
			if !errors.Is(err, errFail) {
				return outbox.Abort(err)
			}
			return outbox.Enqueue(tx, Add{"b/1", 5})
		}
		enqueue(t, l, Fail{"a/1"})
		start(t, runner(l, h, adding))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := added(t, l, "b/1"); !slices.Equal(got, []int{5}) {
			t.Errorf("got %v", got)
		}
		if d, p := dead(t, l), pending(t, l); len(d)+len(p) != 0 || trouble != 0 {
			t.Errorf("dead %v, pending %v", d, p)
		}
	})
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

// TestTooLarge: steps whose effects do not fit into one commit share several;
// one that fits into none is dead.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	h := outbox.Handler{Type: "test.big", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		return tx.Append(s.Stream, eventlog.Raw{Type: "test.blob", Data: []byte(`"` + strings.Repeat("x", 300_000) + `"`)})
	}}
	huge := outbox.Handler{Type: "test.huge", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		for range 3 {
			if err := h.Do(tx, s); err != nil {
				return err
			}
		}
		return nil
	}}
	var steps []outbox.Step
	for i := range 5 {
		steps = append(steps, named{"test.big", "a/1", i}, named{"test.huge", "b/1", i})
	}
	enqueue(t, l, steps...)
	drain(t, runner(l, h, huge))
	if n := commits(t, l, "a/1"); n != 3 {
		t.Errorf("%d commits of a, want 3", n)
	}
	list := dead(t, l)
	if len(list) != 5 {
		t.Fatalf("%d dead letters", len(list))
	}
	for _, d := range list {
		if d.Type != "test.huge" || d.Attempts != 1 || !strings.Contains(d.Err, "too large") {
			t.Errorf("dead letter %+v", d)
		}
	}
	if n := len(pending(t, l)); n != 0 {
		t.Errorf("%d pending", n)
	}
}

// TestTooManyKeys is about a limit that is found only when the commit is put
// together: the batch is halved.
func TestTooManyKeys(t *testing.T) {
	t.Parallel()
	l, err := eventlog.Open(t.Context(), memlog.Open(), nil) // checking it would take a second
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	wide := outbox.Handler{Type: "test.wide", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		for i := range 32 {
			var tags []string
			for j := range eventlog.MaxTags {
				tags = append(tags, fmt.Sprint(string(s.Data), "-", i, "-", j))
			}
			if err := tx.Append(s.Stream, eventlog.Tagged(Added{i}, tags...)); err != nil {
				return err
			}
		}
		return nil
	}}
	enormous := outbox.Handler{Type: "test.enormous", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		for i := range 3 {
			if err := wide.Do(tx, outbox.Raw{Stream: s.Stream, Data: fmt.Append(nil, "e", i)}); err != nil {
				return err
			}
		}
		return nil
	}}
	var steps []outbox.Step
	for i := range 3 {
		steps = append(steps, outbox.Raw{Type: "test.wide", Stream: "a/1", Data: fmt.Append(nil, i)})
	}
	enqueue(t, l, append(steps, outbox.Raw{Type: "test.enormous", Stream: "a/1", Data: []byte("0")})...)
	drain(t, runner(l, wide, enormous))
	if n, m := commits(t, l, "a/1"), len(added(t, l, "a/1")); n != 2 || m != 3*32 {
		t.Errorf("%d commits with %d events", n, m)
	}
	if list := dead(t, l); len(list) != 1 || list[0].Type != "test.enormous" {
		t.Errorf("dead letters %+v", list)
	}
	if n := len(pending(t, l)); n != 0 {
		t.Errorf("%d pending", n)
	}
}
