package remotelog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

func revLog(t *testing.T, dir string) (*eventlog.Log, *Log) {
	t.Helper()
	d := share(t, dir, Options{})
	l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, d
}

// F1a: after a takeover, a refused Write's commits are told as durable news.
func TestRevNewsOfWhatFailed(t *testing.T) {
	dir := t.TempDir()
	first, _ := revLog(t, dir)
	second, d2 := revLog(t, dir)
	third, d3 := revLog(t, dir)
	// third knows that s is at version 0.
	look := func(l *eventlog.Log) {
		if _, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			v, err := counts.Load(tx, "s")
			t.Logf("state of s: %v", v)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	look(third)
	if _, err := first.Append(t.Context(), "s", &eventlog.AppendOptions{Expect: eventlog.NoStream}, note{"first"}); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// wait for an owner and its client
	for d2.owns() == d3.owns() {
		_, _ = d2.Tail(t.Context(), 0)
		_, _ = d3.Tail(t.Context(), 0)
		time.Sleep(time.Millisecond)
	}
	if _, err := second.Append(t.Context(), "t", nil, note{"second"}); err != nil {
		t.Fatal(err)
	}
	_, err := third.Append(t.Context(), "s", &eventlog.AppendOptions{Expect: eventlog.NoStream}, note{"third"})
	t.Logf("third's append to s, expected absent: %v", err)
	for _, l := range []*eventlog.Log{second} {
		for r, err := range l.Read(t.Context(), eventlog.Query{Shards: []int{0}}) {
			t.Logf("%s@%d %s %v", r.Stream, r.Version, r.Data, err)
		}
		for r, err := range l.Read(t.Context(), eventlog.Query{Stream: "s"}) {
			t.Logf("of s: %d %s %v", r.Version, r.Data, err)
		}
	}
	if err == nil {
		t.Error("two appends to s that expected it to be absent were both acknowledged")
	}
}

// F1b: a Write behind a Write that fails is accepted.
func TestRevAcceptedBehindOther(t *testing.T) {
	store, err := pebblelog.Open(t.TempDir(), &pebblelog.Options{MemTableSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for rev := driver.Revision(1); rev <= 10; rev++ { // before this owner's time
		b := batch(0, rev, 1)
		if err := store.Write(t.Context(), driver.Write{ID: [16]byte{byte(rev)}, Batches: []driver.Batch{b}}); err != nil {
			t.Fatal(err)
		}
	}
	x := newTurns(true, func(shard int) (driver.Revision, error) { return store.Tail(context.Background(), shard) })
	p, q := x.join(), x.join()
	started, goOn := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	y := driver.Write{ID: [16]byte{100}, Batches: []driver.Batch{batch(0, 10, 1)}, TakesAhead: true} // it knows 9
	wg.Go(func() {
		err := x.do(t.Context(), p, &y, func() func() error {
			wait := store.Start(t.Context(), y)
			close(started)
			<-goOn // its goroutine is slow
			return wait
		})
		t.Logf("Y at 10: %v", err)
	})
	<-started
	w := driver.Write{ID: [16]byte{101}, Batches: []driver.Batch{batch(0, 10, 1)}, TakesAhead: true} // it knows 9 too
	var tail *driver.TailError
	if err := x.do(t.Context(), q, &w, func() func() error { return store.Start(t.Context(), w) }); !errors.As(err, &tail) {
		t.Fatal(err)
	}
	t.Logf("refused: %v, news %v, ahead %v", tail, tail.News, tail.Ahead)
	w.Batches[0] = batch(0, 11, 1)
	w.Batches[0].Behind = tail.Ahead[0].Write
	close(goOn)
	err = x.do(t.Context(), q, &w, func() func() error { return store.Start(t.Context(), w) })
	wg.Wait()
	if err == nil {
		t.Errorf("a Write behind Y was accepted, and Y was not")
	}
}

// F3: Ahead of a shard beside is told by a store that does not chain, and to who does not take it.
func TestRevAheadBeside(t *testing.T) {
	x := newTurns(false, noTails)
	p, q := x.join(), x.join()
	if err := errors.Join(do(t, x, p, nil, batch(0, 1, 1)), do(t, x, p, nil, batch(1, 1, 1)), do(t, x, q, nil, batch(0, 2, 1))); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	in := make(chan struct{})
	wg.Go(func() {
		w := driver.Write{ID: [16]byte{7}, Batches: []driver.Batch{batch(1, 2, 1)}}
		_ = x.do(t.Context(), q, &w, later(func() error { close(in); <-stop; return &driver.CellError{} }))
	})
	<-in
	var tail *driver.TailError
	err := do(t, x, p, nil, batch(0, 2, 1))
	if errors.As(err, &tail) && len(tail.Ahead) > 0 {
		t.Errorf("told of %v, though nothing is decided in order and the Write does not take it", tail.Ahead)
	}
	w := driver.Write{ID: [16]byte{8}, Batches: []driver.Batch{{Shard: 1, First: 3, Commits: batch(1, 3, 1).Commits, Behind: [16]byte{7}}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := x.do(ctx, p, &w, later(func() error { return nil })); err == nil {
		t.Error("it is with the store beside the one that it stands behind, in any order")
	}
	close(stop)
	wg.Wait()
}

// F4: a party that writes stale again and again keeps the turn.
func TestRevHoldsForEver(t *testing.T) {
	x := newTurns(true, noTails)
	p, q := x.join(), x.join()
	if err := do(t, x, p, nil, batch(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			_ = do(t, x, q, nil, batch(0, 1, 1))
			time.Sleep(time.Millisecond)
		}
	}()
	time.Sleep(10 * time.Millisecond)
	begin := time.Now()
	w := driver.Write{Batches: []driver.Batch{batch(0, 2, 1)}}
	if err := x.do(ctx, p, &w, later(func() error { return nil })); err != nil {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}

// F5: lanes of refused Writes stay.
func TestRevLanesStay(t *testing.T) {
	x := newTurns(true, noTails)
	p, q := x.join(), x.join()
	if err := do(t, x, p, nil, batch(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		list := []driver.Batch{batch(0, 1, 1)}
		for i := range 100_000 {
			list = append(list, driver.Batch{Shard: 1 + n*100_000 + i, First: 1})
		}
		begin := time.Now()
		_ = do(t, x, q, nil, list...)
		t.Logf("took %v", time.Since(begin))
	}
	list := []driver.Batch{batch(0, 1, 1)}
	for i := range 3000 {
		list = append(list, driver.Batch{Shard: 1 + i, First: 1})
	}
	_ = do(t, x, q, nil, list...)
	for i := range list[1:] {
		list[i+1].Shard += 10000
	}
	begin := time.Now()
	_ = do(t, x, q, nil, list...)
	t.Logf("a refusal of 3000 batches with 3000 known: %v", time.Since(begin))
	x.part(q)
	if len(x.lanes) > 10 {
		t.Errorf("%d lanes stay", len(x.lanes))
	}
}

// F3b: on a store whose Writes may arrive late (or that others write), a refused Write's commits are told as news.
func TestRevNewsOfTheLate(t *testing.T) {
	x := newTurns(false, noTails)
	p, q := x.join(), x.join()
	if err := do(t, x, p, nil, batch(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	late := batch(0, 2, 1)
	late.Commits[0].Keys = []driver.Key{{Name: "late"}}
	if err := do(t, x, p, driver.ErrUnknown, late); !errors.Is(err, driver.ErrUnknown) { // it arrives later
		t.Fatal(err)
	}
	y := batch(0, 2, 1)
	y.Commits[0].Keys = []driver.Key{{Name: "refused"}}
	if err := do(t, x, p, &driver.TailError{Shard: 0, Tail: 2}, y); err == nil {
		t.Fatal(err)
	}
	var tail *driver.TailError
	if err := do(t, x, q, nil, batch(0, 2, 1)); !errors.As(err, &tail) || len(tail.News) > 0 {
		t.Errorf("%v with news %v", err, tail.News)
	}
}

// F6: an ID used twice, or none.
func TestRevIDs(t *testing.T) {
	for _, id := range [][16]byte{{}, {9}} {
		store, err := pebblelog.Open(t.TempDir(), &pebblelog.Options{MemTableSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		x := newTurns(true, func(shard int) (driver.Revision, error) { return store.Tail(context.Background(), shard) })
		hostile, q := x.join(), x.join()
		if err := x.do(t.Context(), q, &driver.Write{ID: [16]byte{1}, Batches: []driver.Batch{batch(0, 1, 1)}}, func() func() error {
			return store.Start(t.Context(), driver.Write{ID: [16]byte{1}, Batches: []driver.Batch{batch(0, 1, 1)}})
		}); err != nil {
			t.Fatal(err)
		}
		one := uint64(77)
		bad := driver.Write{ID: id, Batches: []driver.Batch{batch(0, 2, 1)}, Cells: []driver.CellOp{{If: &one, Cell: driver.Cell{Key: "c"}}}}
		goOn, started := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := x.do(t.Context(), hostile, &bad, func() func() error {
				wait := store.Start(t.Context(), bad)
				close(started)
				<-goOn
				return wait
			})
			t.Logf("bad: %v", err)
		})
		<-started
		w := driver.Write{ID: [16]byte{101}, Batches: []driver.Batch{batch(0, 2, 1)}, TakesAhead: true}
		var tail *driver.TailError
		if err := x.do(t.Context(), q, &w, func() func() error { return store.Start(t.Context(), w) }); !errors.As(err, &tail) || len(tail.Ahead) == 0 {
			t.Fatal(err)
		}
		// the turn passes before it comes back
		close(goOn)
		wg.Wait()
		time.Sleep(5 * time.Millisecond)
		other := driver.Write{ID: id, Batches: []driver.Batch{batch(0, 2, 1)}}
		other.Batches[0].Commits[0].Data = []byte("another")
		if err := x.do(t.Context(), hostile, &other, func() func() error { return store.Start(t.Context(), other) }); err != nil {
			// it waits for the turn
			t.Log(err)
		}
		w.Batches[0] = batch(0, 3, 1)
		w.Batches[0].Behind = tail.Ahead[0].Write
		err = x.do(t.Context(), q, &w, func() func() error { return store.Start(t.Context(), w) })
		if err == nil {
			t.Errorf("id %v: accepted behind another", id[:2])
		}
		store.Close()
	}
}
