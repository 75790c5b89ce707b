package remotelog

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// TestForgetsShards: whatever shards clients name, those to which nothing was ever
// written take no memory.
func TestForgetsShards(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		c.write(a, 'a', nil, batch(0, 1, 1))
		for shard := range 100 {
			c.write(b, 'x', nil, batch(0, 1, 1), batch(1000+shard, 7, 1)) // refused
			c.write(b, 'y', driver.ErrDiskFull, batch(2000+shard, 1, 1))
		}
		c.work.Wait()
		time.Sleep(time.Second)
		if len(c.lanes) > 2 || len(a.known) > 1 {
			t.Errorf("%d shards are kept, of %d one process is said to know", len(c.lanes), len(a.known))
		}
	})
}

// TestManyShardsRefused: the lanes of shards that only a refused Write names go with its
// turn, and with its writer.
func TestManyShardsRefused(t *testing.T) {
	t.Parallel()
	x := newTurns(true, noTails)
	p, q := x.join(), x.join()
	if err := do(t, x, p, nil, batch(0, 1, 1)); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		refused(t, x, q, 1+round*10_000, 10_000)
		if n := len(x.lanes); n > 10_001 {
			t.Errorf("%d shards are kept for one turn", n)
		}
	}
	x.part(q)
	if len(x.lanes) != 1 || len(q.known) > 1 {
		t.Errorf("%d shards are kept, of %d it is said to know", len(x.lanes), len(q.known))
	}
}

// TestShardsOfWhoGoesAway: who stood in line and went away leaves no lane.
func TestShardsOfWhoGoesAway(t *testing.T) {
	t.Parallel()
	chained(t, func(t *testing.T, c *chain, a, b *party) {
		c.write(a, 'a', nil, batch(0, 1, 1))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		w := driver.Write{Batches: []driver.Batch{batch(0, 2, 1), batch(7, 1, 1)}} // it waits for a
		if err := c.do(ctx, &waiter{party: b, write: &w}, later(func() error { return nil })); !errors.Is(err, context.DeadlineExceeded) || len(c.lanes) != 1 {
			t.Errorf("%v, %d shards are kept", err, len(c.lanes))
		}
	})
}

// TestLargeRefusals: what a refusal costs grows with the shards that the Write names and
// those that its writer knows, not with their product.
func TestLargeRefusals(t *testing.T) {
	t.Parallel()
	const few, many = 2000, 40_000
	x := newTurns(true, func(int) (driver.Revision, error) { return 1, nil })
	p, q := x.join(), x.join()
	if err := do(t, x, p, nil, batch(0, 2, 1)); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{few, many} { // now it knows them
		refused(t, x, q, 1, n)
	}
	small, large := refused(t, x, q, 1, few), refused(t, x, q, 1, many)
	for i := 0; large > 5*many/few*small && i < 100; i++ { // others use the machine too
		small, large = min(small, refused(t, x, q, 1, few)), min(large, refused(t, x, q, 1, many))
	}
	if len(q.known) < many || large > 5*many/few*small {
		t.Errorf("%v of %d shards, %v of %d, of %d known", small, few, large, many, len(q.known))
	}
}

// refused lets a party write to shard 0, of which it does not know all, and to n others.
// It returns what the refusal took.
func refused(t *testing.T, x *turns, p *party, shard, n int) time.Duration {
	t.Helper()
	list := []driver.Batch{batch(0, 1, 1)}
	for i := range n {
		list = append(list, driver.Batch{Shard: shard + i, First: 2})
	}
	begin := time.Now()
	err := do(t, x, p, nil, list...)
	took := time.Since(begin)
	refusalOf(t, func() error { return err })
	return took
}
