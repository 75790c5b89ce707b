package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
)

type hooked struct {
	driver.Log
	write func(w driver.Write, next func() error) error
	cells func()
}

func (h *hooked) Write(ctx context.Context, w driver.Write) error {
	if h.write == nil {
		return h.Log.Write(ctx, w)
	}
	return h.write(w, func() error { return h.Log.Write(ctx, w) })
}

func (h *hooked) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	if h.cells != nil {
		h.cells()
	}
	return h.Log.Cells(ctx, from, to, limit)
}

// The version of a stream that left the window while a pending commit hid it is
// not forgotten when that commit is lost.
func staleHead(t *testing.T, d driver.Log) {
	h := &hooked{Log: d}
	l, err := eventlog.Open(context.Background(), h, &eventlog.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fill := func(n int) {
		var wg sync.WaitGroup
		for w := range 64 {
			wg.Go(func() {
				for i := w; i < n; i += 64 {
					add(t, l, "fill/1", "x")
				}
			})
		}
		wg.Wait()
	}
	add(t, l, "x", "one")
	fill(4200) // x version 1 leaves the window: it is in the head cache
	add(t, l, "x", "two")
	fill(4095) // exactly at the edge: the next publish forgets "two"
	started, gate := make(chan struct{}), make(chan struct{})
	n := 0
	h.write = func(w driver.Write, next func() error) error {
		n++
		switch n {
		case 1:
			close(started)
			<-gate
			return next()
		case 2:
			return fmt.Errorf("no room: %w", driver.ErrDiskFull)
		}
		return next()
	}
	first := make(chan error, 1)
	go func() { _, err := l.Append(context.Background(), "fill/1", nil, entry{"y"}); first <- err }()
	<-started
	second := make(chan error, 1)
	ctx := context.Background()
	go func() { _, err := l.Append(ctx, "x", nil, entry{"three"}); second <- err }()
	for { // until it is queued: an Update sees it
		seen := 0
		c, cancel := context.WithCancel(ctx)
		l.Update(c, func(tx *eventlog.Tx) error {
			for range tx.Read(eventlog.Query{Stream: "x"}) {
				seen++
			}
			cancel()
			return nil
		})
		if seen == 3 {
			break
		}
	}
	close(gate)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	if err := <-second; !errors.Is(err, driver.ErrDiskFull) {
		t.Fatal(err)
	}
	_, err = l.Append(ctx, "x", nil, entry{"three again"})
	t.Logf("append: %v", err)
	for r, err := range l.Read(ctx, eventlog.Query{Stream: "x"}) {
		t.Logf("%d rev %d %s %v", r.Version, r.Revision, r.Data, err)
	}
	if err := eventlog.Check(ctx, l); err != nil {
		t.Errorf("check: %v", err)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestLostCommitKeepsTheHeadInMemory(t *testing.T) { staleHead(t, memlog.Open()) }
func TestLostCommitKeepsTheHeadEmbedded(t *testing.T) {
	d, err := pebblelog.Open(t.TempDir(), &pebblelog.Options{MemTableSize: 8 << 20, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	staleHead(t, d)
}

// A backward reading inside an Update sees pending commits as a forward one does.
func TestBackwardReadsPendingCommits(t *testing.T) {
	h := &hooked{Log: memlog.Open()}
	l, _ := eventlog.Open(context.Background(), h, &eventlog.Options{Shards: 1})
	defer l.Close()
	add(t, l, "a", "durable")
	started, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.write = func(w driver.Write, next func() error) error {
		once.Do(func() { close(started) })
		<-gate
		return next()
	}
	go l.Append(context.Background(), "a", nil, entry{"pending"})
	<-started
	var fwd, back []string
	done, ran := make(chan error, 1), make(chan struct{}, 100)
	go func() {
		_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
			fwd, back = nil, nil
			q := eventlog.Query{Shards: []int{0}, Until: time.Now().Add(time.Hour)}
			for r := range tx.Read(q) {
				fwd = append(fwd, string(r.Data))
			}
			q.Backward = true
			for r := range tx.Read(q) {
				back = append(back, string(r.Data))
			}
			ran <- struct{}{}
			return tx.Append("b", entry{"saw"})
		})
		done <- err
	}()
	<-ran
	close(gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(fwd) != len(back) {
		t.Errorf("forward %q, backward %q, and both were accepted", fwd, back)
	}
}

// Who sees a row sees the events that were written with it.
func TestViewSeesWholeWrites(t *testing.T) {
	d, err := pebblelog.Open("log", &pebblelog.Options{FS: vfs.NewMem(), MemTableSize: 8 << 20, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	l := over(t, d, &eventlog.Options{Shards: 4})
	count := eventlog.Table[int]{Name: "count"}
	writes := 1000
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		writes = 20_000 // the gap that it looks for is a few instructions wide
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer stop.Store(true)
		for i := 1; i <= writes; i++ {
			update(t, l, func(tx *eventlog.Tx) error {
				if err := count.Put(tx, "n", i); err != nil {
					return err
				}
				return tx.Append("s", entry{"x"})
			})
		}
	})
	var torn, views atomic.Int64
	for range 2 {
		wg.Go(func() {
			for !stop.Load() {
				var n int
				var v uint64
				err := l.View(context.Background(), func(tx *eventlog.Tx) error {
					for r, err := range tx.Read(eventlog.Query{Stream: "s", Backward: true, Limit: 1}) {
						if err != nil {
							return err
						}
						v = r.Version
					}
					n, _, _ = count.Get(tx, "n")
					return nil
				})
				if err == nil {
					views.Add(1)
					if uint64(n) != v {
						torn.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	if torn.Load() > 0 {
		t.Errorf("%d of %d views were torn", torn.Load(), views.Load())
	}
	t.Logf("%d views", views.Load())
}

// A store that takes no more writes is not asked again and again.
func TestFailedStoreAnswersAtOnce(t *testing.T) {
	h := &hooked{Log: memlog.Open()}
	l, _ := eventlog.Open(context.Background(), h, &eventlog.Options{Shards: 1})
	add(t, l, "a", "x")
	failed := errors.New("fsync: input/output error")
	var calls atomic.Int32
	h.write = func(w driver.Write, next func() error) error { // what pebblelog answers after a failed sync
		calls.Add(1)
		return fmt.Errorf("%w: %w", driver.ErrUnknown, errors.Join(failed, driver.ErrClosed))
	}
	done := make(chan error, 1)
	go func() { _, err := l.Append(context.Background(), "a", nil, entry{"y"}); done <- err }()
	if err := <-done; !errors.Is(err, eventlog.ErrUnknown) || !errors.Is(err, failed) || calls.Load() != 1 {
		t.Errorf("answer %v after %d calls", err, calls.Load())
	}
	h.Log.Close()
}

// What a process does after it read a commit is later than that commit.
func TestClockFollowsReads(t *testing.T) {
	store := memlog.NewStore()
	fast := &eventlog.Options{Shards: 2}
	eventlog.SetNow(fast, func() time.Time { return time.Now().Add(500 * time.Millisecond) })
	p := over(t, store.Open(), fast)
	q := over(t, store.Open(), &eventlog.Options{Shards: 2})
	a, b := "a", "b"
	for i := 0; q.ShardOf(a) == q.ShardOf(b); i++ {
		b = fmt.Sprint("b", i)
	}
	add(t, p, a, "cause")
	var cause time.Time
	var txTime time.Time
	update(t, q, func(tx *eventlog.Tx) error {
		for r := range tx.Read(eventlog.Query{Stream: a}) {
			cause = r.Time
		}
		txTime = tx.Time()
		return tx.Append(b, entry{"effect"})
	})
	var effect time.Time
	for r := range q.Read(context.Background(), eventlog.Query{Stream: b}) {
		effect = r.Time
	}
	t.Log(cause, effect, txTime)
	// via plain read, then append
	for r := range q.Read(context.Background(), eventlog.Query{Stream: a}) {
		cause = r.Time
	}
	add(t, p, a, "cause 2")
	for r := range q.Read(context.Background(), eventlog.Query{Stream: a}) {
		cause = r.Time
	}
	add(t, q, b, "effect 2")
	for r := range q.Read(context.Background(), eventlog.Query{Stream: b}) {
		effect = r.Time
	}
	if !effect.After(cause) {
		t.Errorf("effect %s is not later than its cause %s", effect, cause)
	}
}

// A View does not take two rows for absent of which one always existed.
func TestViewOfAbsentRows(t *testing.T) {
	h := &hooked{Log: memlog.Open()}
	l := over(t, h, &eventlog.Options{Shards: 1})
	tab := eventlog.Table[int]{Name: "t"}
	at := "A"
	update(t, l, func(tx *eventlog.Tx) error { return tab.Put(tx, "A", 1) })
	busy := false
	move := func() {
		busy = true
		from, to := at, map[string]string{"A": "B", "B": "A"}[at]
		update(t, l, func(tx *eventlog.Tx) error {
			if err := tab.Delete(tx, from); err != nil {
				return err
			}
			return tab.Put(tx, to, 1)
		})
		at = to
		busy = false
	}
	n := 0
	h.cells = func() {
		if busy {
			return
		}
		n++
		switch n { // Get A, Get B, verify A, verify B
		case 1:
			move() // to B: A is absent
		case 2:
			move() // to A: B is absent
		case 3:
			move() // to B: A is absent
		case 4:
			move() // to A: B is absent
		}
	}
	var a, b bool
	if err := l.View(context.Background(), func(tx *eventlog.Tx) error {
		var err error
		if _, a, err = tab.Get(tx, "A"); err != nil {
			return err
		}
		_, b, err = tab.Get(tx, "B")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	h.cells = nil
	if a == b {
		t.Errorf("A %v, B %v: there was always exactly one (after %d looks)", a, b, n)
	}
}

// What is appended is what it was when Append returned.
func TestAppendCopies(t *testing.T) {
	l := fresh(t)
	buf := []byte(`{"Text":"one"}`)
	tags := []string{"t1"}
	update(t, l, func(tx *eventlog.Tx) error {
		if err := tx.Append("a", eventlog.Tagged(eventlog.Raw{Type: "test.entry", Data: buf}, tags...)); err != nil {
			return err
		}
		copy(buf, `{"Text":"two"}`)
		tags[0] = "t2"
		return tx.Append("a", eventlog.Raw{Type: "test.entry", Data: buf})
	})
	for r := range l.Read(context.Background(), eventlog.Query{Stream: "a"}) {
		t.Logf("%s %v", r.Data, r.Tags)
		if r.Version == 1 && string(r.Data) != `{"Text":"one"}` {
			t.Errorf("version 1 is %s", r.Data)
		}
	}
}
