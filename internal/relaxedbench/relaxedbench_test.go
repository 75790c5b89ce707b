package relaxedbench_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/relaxedbench"
)

// far is a store that takes its time, as one over a network does.
type far struct {
	driver.Log
	write, read time.Duration
}

func (f far) Write(ctx context.Context, w driver.Write) error {
	time.Sleep(f.write)
	return f.Log.Write(ctx, w)
}

func (f far) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	time.Sleep(f.read)
	return f.Log.Tail(ctx, shard)
}

func (f far) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return late(f.read, f.Log.Read(ctx, shard, r))
}

func (f far) Find(ctx context.Context, shard int, key string, r driver.Range) iter.Seq2[driver.Commit, error] {
	return late(f.read, f.Log.Find(ctx, shard, key, r))
}

func (f far) Cells(ctx context.Context, from, to string, limit int) iter.Seq2[driver.Cell, error] {
	return late(f.read, f.Log.Cells(ctx, from, to, limit))
}

func late[T any](d time.Duration, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		time.Sleep(d)
		seq(yield)
	}
}

func distant() func(mode int) (driver.Log, error) {
	store := memlog.NewStore()
	return func(int) (driver.Log, error) {
		return far{store.Open(), 10 * time.Millisecond, 4 * time.Millisecond}, nil
	}
}

// TestSeveralProcesses: on a store far away, where strict writers of a shard lose
// races against each other, relaxed appends of four processes are at least twice as
// many, their folding included. Time is that of the store alone.
func TestSeveralProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := relaxedbench.Run(t.Context(), relaxedbench.Config{Open: distant()})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(r)
		if a, f := r.Ratio(); a < 2 || f < 2 {
			t.Errorf("relaxed over strict: %.2f acknowledged, %.2f folded", a, f)
		}
	})
}

// BenchmarkModes prints relaxed over strict appends, from one process and from four.
func BenchmarkModes(b *testing.B) {
	for range b.N {
		r, err := relaxedbench.Run(b.Context(), relaxedbench.Config{Open: distant()})
		if err != nil {
			b.Fatal(err)
		}
		b.Log(r)
		a, f := r.Ratio()
		b.ReportMetric(a, "acknowledged/strict")
		b.ReportMetric(f, "folded/strict")
	}
}
