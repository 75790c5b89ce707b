package datastorelog

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/internal/linear"
)

// TestUpdateIsStrictlySerializable judges histories of several processes on each
// kind of server, most of them over a way that fails, loses answers, sends twice
// and delivers late.
func TestUpdateIsStrictlySerializable(t *testing.T) {
	t.Parallel()
	seeds := map[bool]int{true: 8, false: 3}
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		seeds = map[bool]int{true: 200, false: 40}
	}
	eachLeg(t, func(t *testing.T, leg leg) {
		for seed := range uint64(seeds[leg.fake]) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				w, mishaps := world(t, leg, seed)
				n := linear.Run(t, w)
				t.Logf("%d operations, %d mishaps", n, mishaps())
				if seed%4 != 0 && mishaps() == 0 {
					t.Error("nothing went wrong: the test shows little")
				}
			})
		}
	})
}

// world is up to three processes on one log.
func world(t *testing.T, leg leg, seed uint64) (w linear.World, mishaps func() int) {
	s, project := leg.server(t), emulator.Project()
	w = linear.World{Seed: seed, Ops: 8}
	var wires []*wire
	for p := range 1 + int(seed%3) {
		way := new(wire)
		l, err := eventlog.Open(t.Context(), s.open(t, project, &Options{ClientOptions: way.options()}), &eventlog.Options{Shards: 3})
		if err != nil {
			t.Fatal(err)
		}
		if seed%4 != 0 {
			way.inject(stormy(seed*10 + uint64(p)))
		}
		w.Logs, wires = append(w.Logs, l), append(wires, way)
	}
	w.Calm = func() {
		for _, way := range wires {
			way.late.Wait()
			way.inject(nil)
		}
	}
	w.Again = func(ctx context.Context) (*eventlog.Log, error) {
		return eventlog.Open(ctx, s.open(t, project, nil), nil)
	}
	return w, func() (n int) {
		for _, way := range wires {
			n += way.mishaps()
		}
		return n
	}
}
