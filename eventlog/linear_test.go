package eventlog_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
	"github.com/rollforward/rollforward/internal/linear"
)

var linearSeed = flag.Uint64("linear.seed", 0, "the one seed to run the histories with")

// TestUpdateIsStrictlySerializable judges histories of several processes on one
// store that fails, loses answers and delivers writes late.
func TestUpdateIsStrictlySerializable(t *testing.T) {
	seeds := 20
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		seeds = 1000
	}
	if testing.Short() {
		seeds = 5
	}
	for seed := range uint64(seeds) {
		if *linearSeed != 0 && seed != *linearSeed {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			store := memlog.NewStore()
			linear.Run(t, world(t, seed, 1+int(seed%3), func() driver.Log { return store.Open() }))
		})
	}
}

// TestSharedIsStrictlySerializable takes such histories from processes that share a
// directory. The one that owns it goes away in the middle.
func TestSharedIsStrictlySerializable(t *testing.T) {
	t.Parallel()
	seeds := 6
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		seeds = 300
	}
	for seed := range uint64(seeds) {
		if *linearSeed != 0 && seed != *linearSeed {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open := func() driver.Log {
				d, err := remotelog.Open(context.Background(), dir, &remotelog.Options{Store: pebblelog.Options{MemTableSize: 1 << 20, Reserve: -1}})
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			owner := open()
			w := world(t, seed, 3, open)
			w.Halfway = func() {
				if err := owner.Close(); err != nil {
					t.Error(err)
				}
			}
			linear.Run(t, w)
		})
	}
}

// world is so many processes, each with a handle of its own of the store.
func world(t *testing.T, seed uint64, processes int, open func() driver.Log) linear.World {
	odds := drivertest.Odds{}
	if seed%4 != 0 {
		odds = drivertest.Even
		odds.DelayWithin = 200 * time.Microsecond
	}
	var faults []*drivertest.Faulty
	w := linear.World{Seed: seed}
	for p := range processes {
		f := drivertest.NewFaulty(open(), nil)
		d := driver.Log(f)
		if (seed/4+uint64(p))%3 != 0 { // the others' writes may be moved
			d = f.Mover()
		}
		l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 3})
		if err != nil {
			t.Fatal(err)
		}
		f.Inject(drivertest.Chaos(seed*10+uint64(p), odds))
		t.Cleanup(func() { _ = l.Close() })
		w.Logs, faults = append(w.Logs, l), append(faults, f)
	}
	w.Calm = func() {
		for _, f := range faults {
			f.Inject(nil)
		}
	}
	w.Again = func(ctx context.Context) (*eventlog.Log, error) { return eventlog.Open(ctx, open(), nil) }
	return w
}
