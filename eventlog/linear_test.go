package eventlog_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
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
			linear.Run(t, onMemory(t, seed))
		})
	}
}

func onMemory(t *testing.T, seed uint64) linear.World {
	odds := drivertest.Odds{}
	if seed%4 != 0 {
		odds = drivertest.Even
		odds.DelayWithin = 200 * time.Microsecond
	}
	store := memlog.NewStore()
	var faults []*drivertest.Faulty
	w := linear.World{Seed: seed}
	for p := range 1 + int(seed%3) {
		f := drivertest.NewFaulty(store.Open(), nil)
		l, err := eventlog.Open(t.Context(), f, &eventlog.Options{Shards: 3})
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
	w.Again = func(ctx context.Context) (*eventlog.Log, error) { return eventlog.Open(ctx, store.Open(), nil) }
	return w
}
