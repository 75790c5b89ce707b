package sequencer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/sequencer"
)

// open opens one of several logs over a store, as a process does. Folding is left
// to sequencers.
func open(t *testing.T, store *memlog.Store, hooks eventlog.Hooks) (*eventlog.Log, *drivertest.Faulty) {
	t.Helper()
	f := drivertest.NewFaulty(store.Open(), nil)
	l, err := eventlog.Open(context.Background(), f, &eventlog.Options{Shards: 4, FoldAfter: -1, Hooks: hooks})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Inject(nil)
		if err := eventlog.Check(context.Background(), l); err != nil && !errors.Is(err, eventlog.ErrClosed) {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, f
}

func appendLoose(t *testing.T, l *eventlog.Log, stream, text string) {
	t.Helper()
	_, err := l.Append(context.Background(), stream, &eventlog.AppendOptions{Relaxed: true}, eventlog.Raw{Type: "t", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, l *eventlog.Log, stream string) string {
	t.Helper()
	var list []string
	for r, err := range l.Read(context.Background(), eventlog.Query{Stream: stream}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(r.Data))
	}
	return strings.Join(list, " ")
}

// start runs a Runner until stop is called.
func start(t *testing.T, r *sequencer.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// TestOwnAppendsWake: what its own log appends is folded at once, what another
// process appends within a sweep, or when it is woken.
func TestOwnAppendsWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		here, _ := open(t, store, eventlog.Hooks{})
		there, _ := open(t, store, eventlog.Hooks{})
		r := &sequencer.Runner{Log: here, Sweep: time.Minute}
		stop := start(t, r)
		synctest.Wait()
		appendLoose(t, here, "s", "1")
		time.Sleep(time.Second) // the first Tick of the crew
		if got := read(t, here, "s"); got != "1" {
			t.Errorf("own: %q", got)
		}
		time.Sleep(5 * time.Second) // it looks less and less often
		appendLoose(t, there, "s", "2")
		r.Wake(-1)
		r.Wake(99)
		r.Wake(here.ShardOf("s"))
		synctest.Wait()
		if got := read(t, here, "s"); got != "1 2" {
			t.Errorf("woken: %q", got)
		}
		appendLoose(t, there, "other", "3")
		time.Sleep(61 * time.Second)
		if got := read(t, here, "other"); got != "3" {
			t.Errorf("found by a sweep: %q", got)
		}
		stop()
	})
}

// TestIdleCosts: a log where nothing is loose costs a reading a sweep and no writes,
// also after something was.
func TestIdleCosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, memlog.NewStore(), eventlog.Hooks{})
		stop := start(t, &sequencer.Runner{Log: l})
		hour := func(when string) {
			t.Helper()
			cells, writes := f.Calls("Cells"), f.Calls("Write")
			time.Sleep(time.Hour)
			if c, w := f.Calls("Cells")-cells, f.Calls("Write")-writes; c > 3601 || c < 3000 || w > 0 {
				t.Errorf("%s: %d readings of cells and %d writes in an hour", when, c, w)
			}
		}
		hour("at first")
		appendLoose(t, l, "s", "1")
		time.Sleep(5 * time.Minute)
		hour("when all is folded")
		if got := read(t, l, "s"); got != "1" {
			t.Errorf("the stream holds %q", got)
		}
		stop()
	})
}

// TestTakeover: two share the shards, and when one dies the other takes its shards
// over.
func TestTakeover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		var byA, byB atomic.Int32
		count := func(n *atomic.Int32) eventlog.Hooks {
			return eventlog.Hooks{Fold: func(f eventlog.FoldInfo) { n.Add(int32(f.Appends)) }}
		}
		a, faults := open(t, store, count(&byA))
		b, _ := open(t, store, count(&byB))
		writer, _ := open(t, store, eventlog.Hooks{})
		stopA, stopB := start(t, &sequencer.Runner{Log: a, Name: "a"}), start(t, &sequencer.Runner{Log: b, Name: "b"})
		spread := func(from, to int) {
			for i := from; i < to; i++ {
				appendLoose(t, writer, fmt.Sprint("s/", i%40), fmt.Sprint(i))
				time.Sleep(100 * time.Millisecond)
			}
		}
		spread(0, 600)
		time.Sleep(10 * time.Second)
		if x, y := byA.Load(), byB.Load(); x < 100 || y < 100 || x+y != 600 {
			t.Errorf("a folded %d and b %d, 600 in all", x, y)
		}
		faults.Inject(func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Fail} })
		n := byB.Load()
		spread(600, 800)
		time.Sleep(30 * time.Second)
		if got := byB.Load() - n; got != 200 {
			t.Errorf("b folded %d of 200 alone", got)
		}
		faults.Inject(nil)
		stopA()
		stopB()
	})
}

// TestSequencerHealth: what keeps it from folding is told, and over when it is.
func TestSequencerHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, f := open(t, memlog.NewStore(), eventlog.Hooks{})
		r := &sequencer.Runner{Log: l}
		if err := r.Health(t.Context()); !errors.Is(err, sequencer.ErrNotRunning) {
			t.Errorf("before it runs: %v", err)
		}
		stop := start(t, r)
		appendLoose(t, l, "s", "1")
		time.Sleep(time.Minute)
		if err := r.Health(t.Context()); err != nil {
			t.Error(err)
		}
		if err := r.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
		appendLoose(t, l, "s", "2")
		damage(t, l, f)
		time.Sleep(time.Minute)
		if err := r.Health(t.Context()); !errors.Is(err, eventlog.ErrCorrupt) || !strings.Contains(err.Error(), "$loose") {
			t.Errorf("with a damaged cell: %v", err)
		}
		appendLoose(t, l, "s", "3")
		time.Sleep(time.Minute)
		if got := read(t, l, "s"); !strings.HasSuffix(got, "3") {
			t.Errorf("a damaged cell holds up others: %q", got)
		}
		for c, err := range l.Cells(t.Context(), "$loose", "$loosf", 0) {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.SwapCell(t.Context(), c.Key, c.Version, nil); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if err := r.Health(t.Context()); err != nil {
			t.Errorf("mended: %v", err)
		}
		stop()
	})
}

// damage puts a cell that cannot be read.
func damage(t *testing.T, l *eventlog.Log, d driver.Log) {
	t.Helper()
	key := fmt.Sprintf("$loose\x01%04d\x01%020d.%020d.%032x", l.ShardOf("s"), 0, 1, 1)
	zero := uint64(0)
	err := d.Write(t.Context(), driver.Write{ID: [16]byte{1}, Cells: []driver.CellOp{{Op: driver.Put, If: &zero, Cell: driver.Cell{Key: key, Value: []byte{1, 2, 3}, Version: 7}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := eventlog.Check(t.Context(), l); !errors.Is(err, eventlog.ErrCorrupt) || !strings.Contains(err.Error(), "$loose") {
		t.Errorf("Check says %v", err)
	}
}

// TestSequencerCheck: what makes no sense is refused, and a log that is closed ends
// a Run.
func TestSequencerCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := open(t, memlog.NewStore(), eventlog.Hooks{})
		for _, r := range []*sequencer.Runner{{}, {Log: l, Sweep: -1}, {Log: l, Sweep: 2 * time.Hour}, {Log: l, Lease: 1}} {
			if r.Check() == nil || r.Run(t.Context()) == nil {
				t.Errorf("%+v is taken", r)
			}
		}
		done := make(chan error, 1)
		go func() { done <- (&sequencer.Runner{Log: l}).Run(t.Context()) }()
		time.Sleep(time.Second)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, eventlog.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}
