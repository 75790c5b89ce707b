package drivertest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// faulty is a store with the handle that has the faults and one that has none.
func faulty(t *testing.T, plan Plan) (*Faulty, driver.Log) {
	t.Helper()
	store := memlog.NewStore()
	f, log := NewFaulty(store.Open(), plan), store.Open()
	t.Cleanup(func() {
		_ = f.Close()
		_ = log.Close()
	})
	return f, log
}

func isUnknown(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, driver.ErrUnknown) || !errors.Is(err, ErrInjected) {
		t.Errorf("answer %v, expected ErrUnknown and ErrInjected", err)
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	f, log := faulty(t, Nth("Write", 2, Fault{Kind: Fail}))
	write(t, f, batch(0, 1, "a"))
	w := request([]driver.Batch{batch(0, 2, "b")})
	if err := f.Write(t.Context(), w); !errors.Is(err, ErrInjected) || errors.Is(err, driver.ErrUnknown) {
		t.Errorf("answer %v, expected ErrInjected for certain", err)
	}
	equal(t, "tail", tail(t, log, 0), driver.Revision(1))
	write(t, f, w.Batches...)
	equal(t, "tail", tail(t, log, 0), driver.Revision(2))

	own := errors.New("own")
	f.Inject(func(Call) Fault { return Fault{Kind: Fail, Err: own} })
	if err := f.Write(t.Context(), w); !errors.Is(err, own) || errors.Is(err, ErrInjected) {
		t.Errorf("answer %v, expected the plan's own error", err)
	}
	if _, err := f.Tail(t.Context(), 0); !errors.Is(err, own) {
		t.Errorf("Tail answers %v, expected the plan's own error", err)
	}
	f.Inject(nil)
	equal(t, "tail", tail(t, f, 0), driver.Revision(2))
}

func TestLose(t *testing.T) {
	t.Parallel()
	f, log := faulty(t, func(Call) Fault { return Fault{Kind: Lose} })
	w := request([]driver.Batch{batch(0, 1, "a")}, put("c", "1", 1))
	isUnknown(t, f.Write(t.Context(), w))
	equal(t, "commits", look(t, log, 0).Rows[0], []row{{1, "a"}})
	isUnknown(t, f.Write(t.Context(), w)) // refused, but who knows
	equal(t, "commits", look(t, log, 0).Rows[0], []row{{1, "a"}})
	f.Inject(nil)
	behind(t, f.Write(t.Context(), w), 0, 1)
	equal(t, "answers lost", f.Injected(Lose), 2)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.Inject(Nth("Write", 4, Fault{Kind: Lose}))
	isUnknown(t, f.Write(ctx, request([]driver.Batch{batch(0, 2, "b")}))) // it has left
	equal(t, "tail", tail(t, log, 0), driver.Revision(2))
}

func TestDrop(t *testing.T) {
	t.Parallel()
	f, log := faulty(t, Nth("Write", 1, Fault{Kind: Drop}))
	w := request([]driver.Batch{batch(0, 1, "a")})
	isUnknown(t, f.Write(t.Context(), w))
	equal(t, "tail", tail(t, log, 0), driver.Revision(0))
	equal(t, "answers of Deliver", len(f.Deliver(t.Context())), 0)
	write(t, f, w.Batches...)
}

func TestLateAfterCalls(t *testing.T) {
	t.Parallel()
	f, log := faulty(t, Nth("Write", 1, Fault{Kind: Late, N: 3}))
	isUnknown(t, f.Write(t.Context(), request([]driver.Batch{batch(0, 1, "late")})))
	for range 2 { // absent proves nothing
		equal(t, "tail", tail(t, f, 0), driver.Revision(0))
	}
	equal(t, "pending", f.Pending(), 1)
	equal(t, "tail at the third later call", tail(t, f, 0), driver.Revision(1))
	equal(t, "pending", f.Pending(), 0)
	equal(t, "commits", look(t, log, 0).Rows[0], []row{{1, "late"}})
}

func TestLateUntilDelivered(t *testing.T) {
	t.Parallel()
	f, log := faulty(t, func(c Call) Fault {
		if c.Method == "Write" && c.N <= 3 {
			return Fault{Kind: Late}
		}
		return Fault{}
	})
	data, keys := []byte("late"), []driver.Key{{Name: "k", Pos: 1}}
	w := request([]driver.Batch{{First: 1, Commits: []driver.Commit{{Revision: 1, Data: data, Keys: keys}}}}, when(0, put("c", "late", 1)))
	isUnknown(t, f.Write(t.Context(), w))
	isUnknown(t, f.Write(t.Context(), w))
	isUnknown(t, f.Write(t.Context(), request([]driver.Batch{batch(7, 1, "later")})))
	copy(data, "XXXX") // the caller's again
	keys[0], *w.Cells[0].If, w.Batches[0].Shard = driver.Key{Name: "X", Pos: 9}, 9, 5
	for range 20 {
		tail(t, f, 0)
	}
	equal(t, "pending", f.Pending(), 3)
	equal(t, "tail", tail(t, log, 0), driver.Revision(0))

	answers := f.Deliver(t.Context())
	if len(answers) != 3 || answers[0] != nil || answers[2] != nil {
		t.Fatalf("Deliver: %v, expected nil, a refusal, nil", answers)
	}
	behind(t, answers[1], 0, 1) // the place was taken
	s := look(t, log, 0, 7)
	equal(t, "commits", s.Rows, map[int][]row{0: {{1, "late"}}, 7: {{1, "later"}}})
	equal(t, "keys", s.Keys[0], []driver.Key{{Name: "k", Pos: 1}})
	equal(t, "cells", s.Cells, []driver.Cell{cell("c", "late", 1)})
}

func TestCloseForgetsLate(t *testing.T) {
	t.Parallel()
	f, log := faulty(t, Nth("Write", 1, Fault{Kind: Late}))
	isUnknown(t, f.Write(t.Context(), request([]driver.Batch{batch(0, 1, "late")})))
	closed(t, f)
	equal(t, "answers of Deliver", len(f.Deliver(t.Context())), 0)
	equal(t, "tail", tail(t, log, 0), driver.Revision(0))
	if err := f.Write(t.Context(), request(nil)); !errors.Is(err, driver.ErrClosed) {
		t.Errorf("answer %v, expected ErrClosed", err)
	}
}

func TestHeldBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		fault   func(gate chan struct{}) Fault
		cancel  bool // ctx, instead of opening the gate
		written bool // while it is held back
		err     error
	}{
		{"before", func(gate chan struct{}) Fault { return Fault{Before: gate} }, false, false, nil},
		{"before, ctx ends", func(gate chan struct{}) Fault { return Fault{Before: gate} }, true, false, context.Canceled},
		{"after", func(gate chan struct{}) Fault { return Fault{After: gate} }, false, true, nil},
		{"after, ctx ends", func(gate chan struct{}) Fault { return Fault{After: gate} }, true, true, driver.ErrUnknown},
		{"after a lost answer", func(gate chan struct{}) Fault { return Fault{Kind: Lose, After: gate} }, false, true, driver.ErrUnknown},
		{"before a failure", func(gate chan struct{}) Fault { return Fault{Kind: Fail, Before: gate} }, false, false, ErrInjected},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				f, log := faulty(t, Nth("Write", 1, c.fault(gate)))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				answer := make(chan error, 1)
				go func() { answer <- f.Write(ctx, request([]driver.Batch{batch(0, 1, "a")})) }()
				synctest.Wait()
				equal(t, "answers", len(answer), 0)
				equal(t, "written", tail(t, log, 0) == 1, c.written)
				if c.cancel {
					cancel()
				} else {
					close(gate)
				}
				if err := <-answer; !errors.Is(err, c.err) {
					t.Errorf("answer %v, expected %v", err, c.err)
				}
			})
		})
	}
}

func TestHeldBackTail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never, gate := make(chan struct{}), make(chan struct{})
		f, log := faulty(t, func(c Call) Fault {
			switch c.N {
			case 1:
				return Fault{Before: never}
			case 2:
				return Fault{After: never}
			}
			return Fault{After: gate}
		})
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 1)
			if _, err := f.Tail(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("answer %v, expected ctx's error", err)
			}
			cancel()
		}
		got := make(chan driver.Revision)
		go func() { got <- tail(t, f, 0) }()
		synctest.Wait()
		write(t, log, batch(0, 1, "a"))
		close(gate)
		equal(t, "the tail before the answer was held back", <-got, driver.Revision(0))
	})
}

func TestNthAndCounts(t *testing.T) {
	t.Parallel()
	var seen []Call
	f, _ := faulty(t, func(c Call) Fault {
		seen = append(seen, c)
		return Fault{Kind: Late} // suits Write only
	})
	tail(t, f, 3)
	for range 2 {
		collect(t, f.Find(t.Context(), 4, "key", driver.Range{}))
	}
	collect(t, f.Keys(t.Context(), 5, "pre", "post"))
	collect(t, f.Cells(t.Context(), "from", "to", 0))
	w := request([]driver.Batch{batch(0, 1, "a")})
	isUnknown(t, f.Write(t.Context(), w))
	_ = f.Read(t.Context(), 6, driver.Range{}) // not ranged over: no call
	equal(t, "calls", seen, []Call{
		{Method: "Tail", N: 1, Total: 1, Shard: 3},
		{Method: "Find", N: 1, Total: 2, Shard: 4, Key: "key"},
		{Method: "Find", N: 2, Total: 3, Shard: 4, Key: "key"},
		{Method: "Keys", N: 1, Total: 4, Shard: 5, Key: "pre"},
		{Method: "Cells", N: 1, Total: 5, Key: "from"},
		{Method: "Write", N: 1, Total: 6, Write: &w},
	})
	equal(t, "Calls", []int{f.Calls("Find"), f.Calls("Read"), f.Calls("Write")}, []int{2, 0, 1})
	equal(t, "Injected", []int{f.Injected(None), f.Injected(Late), f.Injected(Lose)}, []int{5, 1, 0})
}
