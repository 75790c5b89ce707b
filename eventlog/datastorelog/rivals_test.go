package datastorelog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/emulator"
)

type noted struct{ ID string }

func (noted) EventType() string { return "test.noted" }

// TestRivalsAllMakeProgress lets 16 processes append to one shard: each of them
// gets on, none much more than others, and nothing is lost, doubled or reordered.
func TestRivalsAllMakeProgress(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		const processes, streams, enough = 16, 3, 4
		s, project := leg.server(t), emulator.Project()
		var lost atomic.Int64
		logs := make([]*eventlog.Log, processes)
		for i := range logs {
			d := s.open(t, project, &Options{Hooks: Hooks{Lost: func(int) { lost.Add(1) }}})
			var err error
			if logs[i], err = eventlog.Open(t.Context(), d, &eventlog.Options{Shards: 1}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
		defer stop()
		var left atomic.Int64 // who has not got enough yet
		left.Store(processes)
		var done [processes]atomic.Int64
		var longest [processes]time.Duration
		var acked sync.Map
		var wg sync.WaitGroup
		for i, l := range logs {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					id := fmt.Sprintf("%d.%d", i, n)
					begin := time.Now()
					_, err := l.Append(ctx, fmt.Sprintf("s/%d", n%streams), nil, noted{id})
					switch {
					case err == nil:
						acked.Store(id, true)
						if done[i].Add(1) == enough && left.Add(-1) == 0 {
							stop()
						}
						longest[i] = max(longest[i], time.Since(begin))
					case ctx.Err() == nil && !errors.Is(err, eventlog.ErrUnknown):
						t.Errorf("process %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		var sum, squares, least float64
		worst := time.Duration(0)
		for i := range done {
			n := float64(done[i].Load())
			sum, squares = sum+n, squares+n*n
			if i == 0 || n < least {
				least = n
			}
			worst = max(worst, longest[i])
		}
		fairness := sum * sum / processes / squares // Jain: 1 all the same, 1/16 one has all
		t.Logf("%.0f appends, %d races lost, the least %.0f, fairness %.2f, longest wait %s", sum, lost.Load(), least, fairness, worst)
		if least < enough || fairness < 0.4 {
			t.Errorf("unfair: the least has %.0f of %.0f appends, fairness %.2f", least, sum, fairness)
		}
		for _, l := range logs {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		againOnce(t, s, project, &acked)
	})
}

// againOnce reads everything once more: each acknowledged id is there once.
func againOnce(t *testing.T, s server, project string, acked *sync.Map) {
	t.Helper()
	l, err := eventlog.Open(t.Context(), s.open(t, project, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := eventlog.Check(t.Context(), l); err != nil {
		t.Error(err)
	}
	seen := make(map[string]bool)
	for r, err := range l.Read(t.Context(), eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(r.Data)] {
			t.Errorf("%s is there twice", r.Data)
		}
		seen[string(r.Data)] = true
	}
	acked.Range(func(id, _ any) bool {
		if !seen[fmt.Sprintf(`{"ID":%q}`, id)] {
			t.Errorf("%s was acknowledged and is not there", id)
		}
		return true
	})
}
