package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestAppendID: an append that is repeated with its id does nothing and says
// where the first one went; with other content it is refused.
func TestAppendID(t *testing.T) {
	t.Parallel()
	eachDriver(t, nil, func(t *testing.T, l *eventlog.Log) {
		id := &eventlog.AppendOptions{ID: "1", Tags: []string{"tag"}}
		first, err := l.Append(t.Context(), "s", id, entries("a", "b")...)
		is(t, err, nil)
		add(t, l, "s", "c")
		for range 3 {
			again, err := l.Append(t.Context(), "s", id, entries("a", "b")...)
			is(t, err, nil)
			if again.String() != first.String() {
				t.Errorf("repeated it is at %s, the first was at %s", again, first)
			}
		}
		for name, events := range map[string][]eventlog.Event{
			"other text":   entries("a", "x"),
			"fewer events": entries("a"),
			"more events":  entries("a", "b", "c"),
			"other order":  entries("b", "a"),
			"other type":   {entry{"a"}, eventlog.Raw{Type: "x", Data: []byte(`{"Text":"b"}`)}},
			"other tags":   {entry{"a"}, eventlog.Tagged(entry{"b"}, "more")},
			"none":         nil,
		} {
			if _, err := l.Append(t.Context(), "s", id, events...); err == nil {
				t.Errorf("%s: it was taken for a repetition", name)
			} else {
				is(t, err, eventlog.ErrIDReused)
			}
		}
		// The id of a stream is free in another one, and the other way round.
		_, err = l.Append(t.Context(), "other", id, entry{"x"})
		is(t, err, nil)
		_, err = l.Append(t.Context(), "s", &eventlog.AppendOptions{ID: "2"}, entry{"d"})
		is(t, err, nil)
		want(t, l, "s", "a b c d")
		want(t, l, "other", "x")
	})
}

// TestAppendIDComesFirst: a repetition succeeds although the stream went on and
// what the append expected is no longer true.
func TestAppendIDComesFirst(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	o := &eventlog.AppendOptions{ID: "1", Expect: eventlog.NoStream}
	for range 2 {
		_, err := l.Append(t.Context(), "s", o, entry{"a"})
		is(t, err, nil)
	}
	_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{ID: "2", Expect: eventlog.NoStream}, entry{"b"})
	is(t, err, eventlog.ErrConflict)
	_, err = l.Append(t.Context(), "s", &eventlog.AppendOptions{ID: "2", Expect: eventlog.Exactly(1)}, entry{"b"})
	is(t, err, nil) // the refused one did not use up its id
	want(t, l, "s", "a b")
}

// TestAppendIDWithoutEvents: an id may stand alone.
func TestAppendIDWithoutEvents(t *testing.T) {
	t.Parallel()
	l := fresh(t)
	o := &eventlog.AppendOptions{ID: "1"}
	first, err := l.Append(t.Context(), "s", o)
	is(t, err, nil)
	again, err := l.Append(t.Context(), "s", o)
	is(t, err, nil)
	if first.IsZero() || first.String() != again.String() {
		t.Errorf("at %s, then at %s", first, again)
	}
}

// TestConcurrentID: of many appends with one id, from several processes over a
// store that loses answers, one happens, and all are told the same place.
func TestConcurrentID(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	var logs []*eventlog.Log
	for i := range 3 {
		f := drivertest.NewFaulty(store.Open(), nil)
		logs = append(logs, over(t, f, nil))
		f.Inject(drivertest.Chaos(uint64(i), drivertest.Odds{Lose: 0.2, Drop: 0.1, Late: 0.1}))
		t.Cleanup(func() { f.Inject(nil) })
	}
	const ids, each = 8, 10
	places := make([]sync.Map, ids)
	var wg sync.WaitGroup
	for id := range ids {
		for n := range each {
			wg.Go(func() {
				o := &eventlog.AppendOptions{ID: fmt.Sprint(id)}
				p, err := logs[n%len(logs)].Append(t.Context(), "s", o, entry{fmt.Sprint(id)})
				if err != nil {
					t.Error(err)
				}
				places[id].Store(p.String(), true)
			})
		}
	}
	wg.Wait()
	seen := make(map[string]bool)
	for _, r := range collect(t, logs[0].Read(t.Context(), eventlog.Query{Stream: "s"})) {
		id := text(t, r)
		if seen[id] {
			t.Errorf("id %s happened twice", id)
		}
		seen[id] = true
	}
	for id := range places {
		n := 0
		places[id].Range(func(any, any) bool { n++; return true })
		if n != 1 || !seen[fmt.Sprint(id)] {
			t.Errorf("id %d: %d places were told; it happened: %t", id, n, seen[fmt.Sprint(id)])
		}
	}
}

// TestOnce: the work under an id is done once, by whatever process and after
// reopening, and a transaction that fails does not use up its id.
func TestOnce(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	a, b := over(t, store.Open(), nil), over(t, store.Open(), nil)
	work := func(l *eventlog.Log, id string, end error) error {
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			if done, err := tx.Once("s", id); done || err != nil {
				return err
			}
			return join(tx.Append("s", entry{id}), end)
		})
		return err
	}
	is(t, work(a, "1", errNo), errNo)
	is(t, work(a, "1", nil), nil)
	is(t, work(a, "1", nil), nil)
	is(t, work(b, "1", nil), nil)
	is(t, work(b, "2", nil), nil)
	is(t, work(a, "2", nil), nil)
	is(t, work(over(t, store.Open(), nil), "2", nil), nil)
	want(t, a, "s", "1 2")
	update(t, a, func(tx *eventlog.Tx) error {
		for i, want := range []bool{false, true, true} { // it remembers its own, too
			if done, err := tx.Once("s", "3"); done != want || err != nil {
				t.Errorf("call %d: done %t, %v, expected %t", i, done, err, want)
			}
		}
		return nil
	})
}

// TestRetryAfterUnknown: a caller that lost its answer repeats with its id and
// learns where the first went, whether or not that one had happened.
func TestRetryAfterUnknown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]drivertest.Fault{
		"it had happened":     {},
		"it had not happened": {Kind: drivertest.Fail},
		"its answer was lost": {Kind: drivertest.Lose},
		"it came late":        {Kind: drivertest.Late, N: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, f := faulty(t, nil)
			ctx, cancel := context.WithCancel(t.Context())
			gate := make(chan struct{})
			var writes atomic.Int64
			f.Inject(func(c drivertest.Call) drivertest.Fault {
				if c.Method != "Write" || writes.Add(1) > 1 {
					return drivertest.Fault{}
				}
				cancel()
				fault.Before = gate
				return fault
			})
			o := &eventlog.AppendOptions{ID: "1"}
			_, err := l.Append(ctx, "s", o, entry{"a"})
			is(t, err, eventlog.ErrUnknown)
			close(gate)
			p, err := l.Append(t.Context(), "s", o, entry{"a"})
			is(t, err, nil)
			want(t, l, "s", "a")
			for _, r := range collect(t, l.Read(t.Context(), eventlog.Query{Stream: "s"})) {
				if p.Revision(r.Shard) != r.Revision {
					t.Errorf("the retry says %s, the event is at %d:%d", p, r.Shard, r.Revision)
				}
			}
		})
	}
}
