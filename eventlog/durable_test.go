package eventlog_test

import (
	"context"

	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/internal/crashfs"
)

// TestAcknowledgedIsDurable cuts the power at random moments under 64 writers:
// whatever was acknowledged before a cut is there after it, once and whole, and
// what was refused is not.
func TestAcknowledgedIsDurable(t *testing.T) {
	t.Parallel()
	cuts, acks := 5, 60
	if soaking() {
		cuts, acks = 100, 1000
	}
	fs := crashfs.New()
	w := newCrashWriters(openCrashable(t, fs))
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	type cut struct {
		fs    *vfs.MemFS
		acked []string
	}
	var list []cut
	w.run(func() {
		for range cuts {
			w.await(1 + rng.IntN(2*acks))
			// What was acknowledged before the cut; more may be in the clone.
			c := cut{acked: w.acknowledged()}
			c.fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			list = append(list, c)
		}
	})
	for i, c := range list {
		w.judge(t, fmt.Sprintf("cut %d", i), openCrashable(t, c.fs), c.acked)
	}
	w.judge(t, "in the end", w.log, w.acknowledged())
}

func openCrashable(t *testing.T, fs vfs.FS) *eventlog.Log {
	t.Helper()
	d, err := pebblelog.Open("log", &pebblelog.Options{FS: fs, MemTableSize: 1 << 20, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	return over(t, d, &eventlog.Options{Shards: 4})
}

// crashWriters write and note the answers. What they append names the stream
// pair that it went to, so that torn transactions are found.
type crashWriters struct {
	log     *eventlog.Log
	streams []string

	mu      sync.Mutex
	more    sync.Cond // acked is longer
	acked   []string
	refused []string
}

func newCrashWriters(l *eventlog.Log) *crashWriters {
	w := &crashWriters{log: l}
	w.more.L = &w.mu
	for shard := range l.Shards() {
		w.streams = append(w.streams, inShard(l, shard, "hot"), inShard(l, shard, "other"))
	}
	return w
}

// run keeps 64 writers busy until body is done.
func (w *crashWriters) run(body func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d.%d", i, n)
				err := w.write(rand.New(rand.NewPCG(uint64(i), uint64(n))), id)
				w.mu.Lock()
				if err == nil {
					w.acked = append(w.acked, id)
					w.more.Signal()
				} else {
					w.refused = append(w.refused, id)
				}
				w.mu.Unlock()
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	body()
	close(stop)
	wg.Wait()
}

// await returns when n more writes are acknowledged.
func (w *crashWriters) await(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n += len(w.acked); len(w.acked) < n; {
		w.more.Wait()
	}
}

// write appends id to two streams, or is refused.
func (w *crashWriters) write(rng *rand.Rand, id string) error {
	a, b := w.streams[rng.IntN(len(w.streams))], w.streams[rng.IntN(2)]
	_, err := w.log.Update(context.Background(), func(tx *eventlog.Tx) error {
		if _, err := diaries.Load(tx, a); err != nil {
			return err
		}
		for _, s := range []string{a, b} {
			if err := tx.Append(s, entry{id}); err != nil {
				return err
			}
		}
		if err := notes.Put(tx, "last "+a, id); err != nil {
			return err
		}
		if rng.IntN(4) == 0 {
			return errNo
		}
		return nil
	})
	return err
}

func (w *crashWriters) acknowledged() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.acked...)
}

// judge holds a log that came up after a cut against the answers.
func (w *crashWriters) judge(t *testing.T, when string, l *eventlog.Log, acked []string) {
	t.Helper()
	count := make(map[string]int)
	for r, err := range l.Read(context.Background(), eventlog.Query{}) {
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		count[text(t, r)]++
	}
	for _, id := range acked {
		if count[id] != 2 {
			t.Errorf("%s: %s was acknowledged and is there %d times, expected 2", when, id, count[id])
		}
	}
	for _, id := range w.refused {
		if count[id] != 0 {
			t.Errorf("%s: %s was refused and is there", when, id)
		}
	}
	for id, n := range count {
		if n != 2 {
			t.Errorf("%s: %s is there %d times, expected all or nothing", when, id, n)
		}
	}
	if err := eventlog.Check(context.Background(), l); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	err := l.View(context.Background(), func(tx *eventlog.Tx) error {
		for row, err := range notes.All(tx, "") {
			if err != nil {
				return err
			}
			if count[row.Value] != 2 {
				t.Errorf("%s: row %q is of %s, whose events are not there", when, row.Key, row.Value)
			}
		}
		return nil
	})
	is(t, err, nil)
	add(t, l, "after", "x")
	want(t, l, "after", "x")
}
