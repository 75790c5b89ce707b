package eventlog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// answering lets a test see each Write before the store, and answer it.
type answering struct {
	driver.Log
	mu   sync.Mutex
	hook func(w driver.Write) (err error, answered bool)
}

func (h *answering) Wide() bool      { return true }
func (h *answering) Exclusive() bool { return false }
func (h *answering) Write(ctx context.Context, w driver.Write) error {
	h.mu.Lock()
	f := h.hook
	h.mu.Unlock()
	if f != nil {
		if err, ok := f(w); ok {
			return err
		}
	}
	return h.Log.Write(ctx, w)
}
func (h *answering) set(f func(w driver.Write) (error, bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hook = f
}

func TestRevFollowerStuck(t *testing.T) {
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 2, MaxSkew: 20 * time.Millisecond, Poll: 20 * time.Millisecond}
	dh, dt := &answering{Log: store.Open()}, &answering{Log: store.Open()}
	here, there := over(t, dh, &o), over(t, dt, &o)
	var a, b string
	for i := 0; a == "" || b == ""; i++ {
		s := fmt.Sprint("s", i)
		if here.ShardOf(s) == 0 {
			a = s
		} else {
			b = s
		}
	}
	add(t, here, a, "0")
	add(t, there, a, "1") // here does not know
	first, err := store.Open().Tail(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	tail1, _ := store.Open().Tail(t.Context(), 1)
	// there writes b; its Write is under way.
	flying, land := make(chan driver.Write, 1), make(chan struct{})
	dt.set(func(w driver.Write) (error, bool) { flying <- w; <-land; return nil, false })
	var wg sync.WaitGroup
	wg.Go(func() { add(t, there, b, "2") })
	x := <-flying
	dt.set(nil)
	once := false
	dh.set(func(w driver.Write) (error, bool) {
		if once {
			return nil, false
		}
		once = true
		return &driver.TailError{Shard: 0, Tail: first,
			News:  []driver.Batch{{Shard: 1, First: tail1 + 1}},
			Ahead: []driver.Flight{{Write: x.ID, Batch: x.Batches[0]}}}, true
	})
	add(t, here, a, "3") // refused, told, written
	close(land)
	wg.Wait()
	add(t, here, a, "4")
	add(t, there, b, "5")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	n := 0
	for r, err := range here.Read(ctx, eventlog.Query{Follow: true}) {
		if err != nil {
			t.Errorf("after %d: %v", n, err)
			break
		}
		t.Logf("%s@%d %s", r.Stream, r.Version, r.Data)
		if n++; n == 6 {
			break
		}
	}
}

func TestRevFillTimes(t *testing.T) {
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 1, MaxSkew: 10 * time.Second}
	fast := o
	eventlog.SetNow(&fast, func() time.Time { return time.Now().Add(5 * time.Second) })
	dh, dg := &answering{Log: store.Open()}, &answering{Log: store.Open()}
	here, gone, there := over(t, dh, &o), over(t, dg, &o), over(t, &answering{Log: store.Open()}, &fast)
	add(t, here, "a", "0")
	var x driver.Write
	dg.set(func(w driver.Write) (error, bool) {
		if w.Batches[0].First == 1 {
			return nil, false
		}
		x = w
		x.Batches[0].Commits = append([]driver.Commit(nil), w.Batches[0].Commits...)
		return driver.ErrDiskFull, true
	})
	_, err := gone.Append(t.Context(), "a", nil, entries("x")...)
	t.Log(err, x.Batches)
	dg.set(nil)
	n := 0
	dh.set(func(w driver.Write) (error, bool) {
		n++
		switch {
		case n == 1:
			return &driver.TailError{Shard: 0, Tail: 1, News: []driver.Batch{{First: w.Batches[0].First}},
				Ahead: []driver.Flight{{Write: x.ID, Batch: x.Batches[0]}}}, true
		case n == 2:
			t.Logf("behind %v at %d", w.Batches[0].Behind == x.ID, w.Batches[0].First)
			add(t, there, "b", "fast")
			return driver.ErrUnknown, true
		case w.Batches[0].Behind == x.ID: // as turns do: it does not know X
			tail, _ := dh.Tail(context.Background(), 0)
			return &driver.TailError{Shard: 0, Tail: tail}, true
		}
		return nil, false
	})
	add(t, here, "a", "1")
	dh.set(nil)
	if err := eventlog.Check(t.Context(), here); err != nil {
		t.Error(err)
	}
}

type joined struct{ Text string }

var joinedModel = eventlog.Model[joined]{Name: "joined", Snapshot: 3, Folds: eventlog.Folds[joined]{
	eventlog.On(func(s *joined, e entry) { s.Text += e.Text + " " }),
}}

func TestRevSnapshotOfWhatFailed(t *testing.T) {
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 1}
	dh, dg := &answering{Log: store.Open()}, &answering{Log: store.Open()}
	here, gone, there := over(t, dh, &o), over(t, dg, &o), over(t, &answering{Log: store.Open()}, &o)
	add(t, here, "a", "one")
	var x driver.Write
	dg.set(func(w driver.Write) (error, bool) {
		if w.Batches[0].First == 1 {
			return nil, false
		}
		x = w
		x.Batches[0].Commits = append([]driver.Commit(nil), w.Batches[0].Commits...)
		return driver.ErrDiskFull, true
	})
	_, _ = gone.Append(t.Context(), "a", nil, entries("X")...)
	dg.set(nil)
	n := 0
	flying, land := make(chan bool), make(chan bool)
	dh.set(func(w driver.Write) (error, bool) {
		if len(w.Batches) == 0 {
			return nil, false
		}
		n++
		switch {
		case n == 1:
			return &driver.TailError{Shard: 0, Tail: 1, News: []driver.Batch{{First: w.Batches[0].First}},
				Ahead: []driver.Flight{{Write: x.ID, Batch: x.Batches[0]}}}, true
		case n == 2:
			flying <- true
			<-land
			tail, _ := dh.Tail(context.Background(), 0)
			return &driver.TailError{Shard: 0, Tail: tail}, true
		}
		return nil, false
	})
	var wg sync.WaitGroup
	wg.Go(func() { add(t, here, "a", "C") })
	<-flying
	looked := make(chan bool, 10)
	wg.Go(func() {
		_, err := here.Update(t.Context(), func(tx *eventlog.Tx) error {
			s, err := joinedModel.Load(tx, "a")
			if err == nil {
				t.Logf("seen: %q", s.Text)
			}
			looked <- true
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-looked
	time.Sleep(20 * time.Millisecond)
	add(t, there, "a", "Y")
	close(land)
	wg.Wait()
	dh.set(nil)
	time.Sleep(100 * time.Millisecond)
	for range 40 { // so that a snapshot is nearer
		add(t, there, "a", ".")
	}
	fresh := over(t, store.Open(), &o)
	s, err := joinedModel.At(t.Context(), fresh, eventlog.Query{Stream: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Update(t.Context(), func(tx *eventlog.Tx) error {
		got, err := joinedModel.Load(tx, "a")
		if err == nil && got.Text != s.Text {
			t.Errorf("the state is %q, loaded is %q", s.Text, got.Text)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// A foreign commit whose bytes cannot be read makes every Update of its key fail, though it never becomes durable.
func TestRevGarbageAhead(t *testing.T) {
	store := memlog.NewStore()
	o := eventlog.Options{Shards: 1}
	dh := &answering{Log: store.Open()}
	here := over(t, dh, &o)
	add(t, here, "a", "one")
	n := 0
	dh.set(func(w driver.Write) (error, bool) {
		if n++; n == 1 {
			return &driver.TailError{Shard: 0, Tail: 1, News: []driver.Batch{{First: w.Batches[0].First}},
				Ahead: []driver.Flight{{Write: [16]byte{7}, Batch: driver.Batch{First: 2, Commits: []driver.Commit{{Revision: 2, Data: []byte("garbage"), Time: time.Now().UnixNano(),
					Keys: []driver.Key{{Name: "a", Pos: 2}}}}}}}}, true
		}
		if w.Batches[0].Behind != [16]byte{} {
			return &driver.TailError{Shard: 0, Tail: 1}, true
		}
		return nil, false
	})
	_, err := here.Update(t.Context(), func(tx *eventlog.Tx) error {
		if _, err := joinedModel.Load(tx, "a"); err != nil {
			return err
		}
		return tx.Append("a", entry{"two"})
	})
	for range 3 {
		t.Logf("answer: %v", err)
		_, err = here.Update(t.Context(), func(tx *eventlog.Tx) error { _, err := joinedModel.Load(tx, "a"); return err })
	}
	if err != nil {
		t.Errorf("an error that rests on what was never written: %v", err)
	}
}
