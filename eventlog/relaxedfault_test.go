package eventlog_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestRelaxedLostPut: a put whose answer is lost is repeated until it is known, and
// folded once; those behind it do not wait for it.
func TestRelaxedLostPut(t *testing.T) {
	t.Parallel()
	for _, kind := range []drivertest.Kind{drivertest.Lose, drivertest.Drop, drivertest.Late} {
		for times := 1; times <= 3; times++ {
			for _, folded := range []bool{false, true} { // before the answer is known
				t.Run(fmt.Sprint(kind, times, folded), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { lostPut(t, kind, times, folded) })
				})
			}
		}
	}
}

func lostPut(t *testing.T, kind drivertest.Kind, times int, folded bool) {
	store := memlog.NewStore()
	l, f := process(t, store, eventlog.Options{Shards: 1, FoldAfter: -1}, 0)
	gate := make(chan struct{})
	f.Inject(func(c drivertest.Call) drivertest.Fault {
		if c.Method != "Write" || !holds(c, "doubtful") {
			return drivertest.Fault{}
		}
		if times--; times >= 0 {
			return drivertest.Fault{Kind: kind}
		}
		return drivertest.Fault{Before: gate}
	})
	doubtful := begin(func() error {
		_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true}, entry{"doubtful"})
		return err
	})
	time.Sleep(10 * time.Second)
	loose(t, l, "s", "behind")
	unanswered(t, "a put without an answer", doubtful)
	other, _ := process(t, store, eventlog.Options{FoldAfter: -1}, 0)
	if folded {
		fold(t, other) // it is there already, or not
	}
	close(gate)
	is(t, <-doubtful, nil)
	f.Inject(nil)
	for range 3 { // it comes again after it was folded
		fold(t, l)
		f.Deliver(t.Context())
		if got := timelineTexts(t, other, "s"); len(strings.Fields(got)) != 2 {
			t.Errorf("the timeline shows %q", got)
		}
	}
	fold(t, other)
	got := strings.Fields(texts(t, l.Read(t.Context(), eventlog.Query{Stream: "s"})))
	slices.Sort(got)
	if strings.Join(got, " ") != "behind doubtful" {
		t.Errorf("folded: %v", got)
	}
	if list, err := l.LooseShards(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// holds reports whether a write has a text.
func holds(c drivertest.Call, text string) bool {
	return slices.ContainsFunc(c.Write.Cells, func(op driver.CellOp) bool { return strings.Contains(string(op.Cell.Value), text) })
}

// TestRelaxedRefusedPut: what the store refuses leaves nothing, and is told to those
// who shared the put.
func TestRelaxedRefusedPut(t *testing.T) {
	t.Parallel()
	l, f := faulty(t, unfolded)
	f.Inject(drivertest.Nth("Write", 2, drivertest.Fault{Kind: drivertest.Fail, Err: driver.ErrDiskFull}))
	_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true}, entry{"1"})
	is(t, err, eventlog.ErrDiskFull)
	loose(t, l, "s", "2")
	fold(t, l)
	want(t, l, "s", "2")
}

// TestRelaxedRefusedAfterDoubt: what a store refuses after it gave no answer says
// nothing of what was sent before.
func TestRelaxedRefusedAfterDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := process(t, memlog.NewStore(), eventlog.Options{FoldAfter: -1}, 0)
		n := 0
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if n++; n == 1 {
				return drivertest.Fault{Kind: drivertest.Lose}
			}
			return drivertest.Fault{Kind: drivertest.Fail, Err: driver.ErrDiskFull}
		})
		answer := begin(func() error {
			_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true}, entry{"1"})
			return err
		})
		time.Sleep(time.Minute)
		unanswered(t, "a doubtful put", answer)
		f.Inject(nil)
		is(t, <-answer, nil)
		fold(t, l)
		want(t, l, "s", "1")
	})
}

// TestFoldOrder: what several processes appended at the same time is folded by time
// and id, also where their cells overlap.
func TestFoldOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		gate := make(chan struct{})
		var answers []<-chan error
		o := eventlog.Options{Shards: 1, FoldAfter: -1}
		add(t, over(t, store.Open(), &o), "first", "x")
		var logs []*eventlog.Log
		for range 3 { // at one instant, so that their clocks count nanoseconds
			l, f := process(t, store, o, 0)
			logs = append(logs, l)
			f.Inject(holdWrites(gate))
			for i := range 20 {
				answers = append(answers, begin(func() error {
					_, err := l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true}, entry{fmt.Sprint(i)})
					return err
				}))
			}
			synctest.Wait()
		}
		close(gate)
		for _, a := range answers {
			is(t, <-a, nil)
		}
		fold(t, logs[0])
		list := collect(t, logs[0].Read(t.Context(), eventlog.Query{Stream: "s"}))
		if len(list) != 60 || !slices.IsSortedFunc(list, comparePlaces) {
			t.Errorf("%d records, not in order", len(list))
		}
		sameTimeline(t, list, timeline(t, logs[0], "s"))
	})
}

// TestRelaxedClosing: a log that is closed while the store does not answer says that
// nothing is known.
func TestRelaxedClosing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memlog.NewStore().Open(), nil)
		l, err := eventlog.Open(t.Context(), f, unfolded)
		is(t, err, nil)
		f.Inject(func(c drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Drop} })
		answer := begin(func() error {
			_, err := l.Append(context.Background(), "s", &eventlog.AppendOptions{Relaxed: true}, entry{"1"})
			return err
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = l.Append(ctx, "s", &eventlog.AppendOptions{Relaxed: true}, entry{"2"})
		is(t, err, eventlog.ErrUnknown)
		is(t, err, context.DeadlineExceeded)
		is(t, l.Close(), nil)
		is(t, <-answer, eventlog.ErrUnknown)
		_, err = l.Append(t.Context(), "s", &eventlog.AppendOptions{Relaxed: true}, entry{"3"})
		is(t, err, eventlog.ErrClosed)
	})
}

// TestFoldDiesAnywhere: a process that folds dies before or after any of its calls,
// another one takes over, and the writes of the first arrive later: each append is
// folded once, in order.
func TestFoldDiesAnywhere(t *testing.T) {
	t.Parallel()
	kinds := []drivertest.Kind{drivertest.Fail, drivertest.Lose, drivertest.Drop, drivertest.Late}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				died := false
				synctest.Test(t, func(t *testing.T) { died = foldDies(t, kind, n) })
				if t.Failed() {
					t.Fatalf("at call %d", n)
				}
				if !died {
					if n < 4 {
						t.Errorf("a fold makes only %d calls", n-1)
					}
					return
				}
			}
		})
	}
}

// foldDies lets a process die at its n-th call, and reports whether it made so many.
func foldDies(t *testing.T, kind drivertest.Kind, n int) (died bool) {
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 1, FoldAfter: -1}
	writer, _ := process(t, store, o, 0)
	f := drivertest.NewFaulty(store.Open(), nil)
	dying, err := eventlog.Open(t.Context(), f, &o)
	is(t, err, nil)
	add(t, writer, "a", "0")
	for i := range 5 {
		loose(t, writer, "a", fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
		loose(t, writer, fmt.Sprint("b/", i), "x")
	}
	_, err = writer.Append(t.Context(), "c", &eventlog.AppendOptions{Relaxed: true, ID: "id"}, entry{"once"})
	is(t, err, nil)
	calls := 0
	var dead atomic.Bool
	f.Inject(func(c drivertest.Call) drivertest.Fault {
		if calls++; calls < n {
			return drivertest.Fault{}
		}
		dead.Store(true)
		if calls == n && c.Method == "Write" {
			return drivertest.Fault{Kind: kind}
		}
		return drivertest.Fault{Kind: drivertest.Fail, Err: driver.ErrUnknown} // nothing reaches the store any more
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = dying.FoldShard(ctx, 0)
	died = dead.Load()
	if (err == nil) == died && n > 1 && kind == drivertest.Fail {
		t.Errorf("died %t, error %v", died, err)
	}
	next, _ := process(t, store, o, 0)
	fold(t, next)
	f.Deliver(context.Background())
	fold(t, next)
	f.Inject(nil)
	is(t, dying.Close(), nil) // what it still repeats arrives
	fold(t, next)
	want(t, next, "a", "0 0a 0b 1a 1b 2a 2b 3a 3b 4a 4b")
	for i := range 5 {
		want(t, next, fmt.Sprint("b/", i), "x")
	}
	want(t, next, "c", "once")
	return dead.Load()
}

// TestFoldsAtOnce: two processes that both believe to hold a shard fold at the same
// time, with the same cells in hand.
func TestFoldsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		o := eventlog.Options{Shards: 1, FoldAfter: -1}
		a, fa := process(t, store, o, 0)
		b, fb := process(t, store, o, 0)
		for i := range 10 {
			loose(t, a, "s", fmt.Sprint(i))
		}
		gate := make(chan struct{})
		fa.Inject(holdWrites(gate))
		fb.Inject(holdWrites(gate))
		var answers []<-chan error
		for _, l := range []*eventlog.Log{a, b, a, b} {
			answers = append(answers, begin(func() error { _, err := l.FoldShard(t.Context(), 0); return err }))
		}
		synctest.Wait()
		close(gate)
		for _, answer := range answers {
			is(t, <-answer, nil)
		}
		want(t, a, "s", "0 1 2 3 4 5 6 7 8 9")
		is(t, eventlog.Check(t.Context(), a), nil)
	})
}

// TestFoldBehindTheWindow: that a cell was folded is known also when so much came
// since that memory forgot it.
func TestFoldBehindTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		l, f := process(t, store, eventlog.Options{Shards: 1, FoldAfter: -1}, 0)
		f.Inject(drivertest.Nth("Write", 2, drivertest.Fault{Kind: drivertest.Late}))
		loose(t, l, "s", "1")
		f.Inject(nil)
		fold(t, l)
		for range 9000 {
			add(t, l, "other", "x")
		}
		f.Deliver(t.Context())
		if list, err := l.LooseShards(t.Context()); err != nil || len(list) != 1 {
			t.Fatalf("the put did not come again: %v, %v", list, err)
		}
		info, err := l.FoldShard(t.Context(), 0)
		if err != nil || info.Cells != 1 || info.Appends != 0 {
			t.Errorf("%+v, %v", info, err)
		}
		want(t, l, "s", "1")
	})
}

// TestFoldCosts: a fold costs two readings of cells and a write, whoever put the
// cells, and one reading of the index more when they are older than what memory knows.
func TestFoldCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		o := eventlog.Options{Shards: 1, FoldAfter: -1}
		old, _ := process(t, store, o, 0) // which never reads
		writer, _ := process(t, store, o, 0)
		put := func() {
			for range 50 {
				loose(t, old, "s", "x")
				time.Sleep(10 * time.Millisecond)
			}
		}
		expect := func(when string, f *drivertest.Faulty, l *eventlog.Log, keys int) {
			t.Helper()
			before := map[string]int{}
			for _, m := range []string{"Cells", "Write", "Find", "Keys", "Tail", "Read"} {
				before[m] = f.Calls(m)
			}
			info, err := l.FoldShard(t.Context(), 0)
			if err != nil || info.Cells != 50 || info.Appends != 50 {
				t.Errorf("%s: %+v, %v", when, info, err)
			}
			for m, most := range map[string]int{"Cells": 2, "Write": 1, "Find": 1, "Keys": keys, "Tail": 0, "Read": 0} {
				if n := f.Calls(m) - before[m]; n > most {
					t.Errorf("%s: %d times %s, at most %d", when, n, m, most)
				}
			}
		}
		add(t, writer, "other", "x")
		put()
		for range 10 {
			add(t, writer, "other", "x")
		}
		l, f := process(t, store, o, 0)
		expect("old", f, l, 1)
		time.Sleep(time.Minute)
		put()
		expect("young", f, l, 0)
		is(t, eventlog.Check(t.Context(), l), nil)
	})
}

// TestLooseKeeper: where nobody runs a sequencer a log folds what it appended, and
// what it found.
func TestLooseKeeper(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		gone, _ := process(t, store, eventlog.Options{FoldAfter: -1}, 0)
		loose(t, gone, "a", "left")
		l, f := process(t, store, eventlog.Options{}, 0)
		time.Sleep(3 * time.Second)
		want(t, l, "a", "left")
		loose(t, l, "b", "1")
		want(t, l, "b", "")
		time.Sleep(4 * time.Second)
		want(t, l, "b", "1")
		calls := f.Calls("Cells")
		time.Sleep(time.Hour)
		if n := f.Calls("Cells") - calls; n > 2 {
			t.Errorf("%d readings of cells in an idle hour", n)
		}
		loose(t, l, "b", "2")
		is(t, l.Close(), nil) // it leaves nothing behind
		want(t, gone, "b", "1 2")
	})
}

// TestLooseKeeperLeavesOthersAlone: what a sequencer folds in time it does not touch.
func TestLooseKeeperLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		folded := 0
		l, _ := process(t, store, eventlog.Options{Hooks: eventlog.Hooks{Fold: func(eventlog.FoldInfo) { folded++ }}}, 0)
		other, _ := process(t, store, eventlog.Options{FoldAfter: -1}, 0)
		for range 200 {
			loose(t, l, "s", "x")
			time.Sleep(100 * time.Millisecond)
			fold(t, other)
		}
		if folded > 0 {
			t.Errorf("it folded %d times itself", folded)
		}
	})
}

// TestLooseKeeperOutage: while the store is away it goes on trying, and says so once.
func TestLooseKeeperOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := process(t, memlog.NewStore(), eventlog.Options{}, 0)
		loose(t, l, "s", "1")
		f.Inject(func(c drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail} })
		time.Sleep(time.Minute)
		f.Inject(nil)
		time.Sleep(5 * time.Second)
		want(t, l, "s", "1")
		f.Inject(func(c drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail} })
		_, err := l.Fold(t.Context())
		is(t, err, eventlog.ErrUnavailable)
		f.Inject(nil)
	})
}

// TestFoldBehindManyDamaged: cells that cannot be read are in nobody's way, however
// many they are.
func TestFoldBehindManyDamaged(t *testing.T) {
	t.Parallel()
	l, _ := process(t, memlog.NewStore(), eventlog.Options{Shards: 1, FoldAfter: -1}, 0)
	add(t, l, "s", "1")
	loose(t, l, "s", "behind")
	op := func(i int, op driver.Op) {
		t.Helper()
		cell := driver.Cell{Key: fmt.Sprintf("$loose\x010000\x01%020d.%020d.%032x", 0, i+1, i+1), Value: []byte{1, 9}, Version: 1}
		is(t, l.Driver().Write(t.Context(), driver.Write{Cells: []driver.CellOp{{Op: op, Cell: cell}}}), nil)
	}
	for i := range 200 {
		op(i, driver.Put)
	}
	info, err := l.FoldShard(t.Context(), 0)
	is(t, err, eventlog.ErrCorrupt)
	if info.Cells != 1 {
		t.Errorf("%+v", info)
	}
	want(t, l, "s", "1 behind")
	for i := range 200 { // every test ends with a Check
		op(i, driver.Delete)
	}
}
