package remotelog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// A rival is a process that appends to a shard as fast as it may.
type rival struct {
	turns *turns
	party *party
	store driver.Log
	sync  time.Duration // that the store takes
	trip  time.Duration // until it comes back after a refusal
	tails map[int]driver.Revision
	won   int
	lost  int
}

// write appends to shards, and learns from a refusal.
func (r *rival) write(ctx context.Context, shards ...int) error {
	for {
		var w driver.Write
		for _, s := range shards {
			first := r.tails[s] + 1
			w.Batches = append(w.Batches, driver.Batch{Shard: s, First: first, Commits: []driver.Commit{{Revision: first, Data: []byte("x")}}})
		}
		err := r.turns.do(ctx, &waiter{party: r.party, write: &w}, later(func() error {
			time.Sleep(r.sync)
			return r.store.Write(ctx, w)
		}))
		var tail *driver.TailError
		switch {
		case err == nil:
			for _, s := range shards {
				r.tails[s]++
			}
			r.won++
			return nil
		case !errors.As(err, &tail):
			return err
		}
		r.lost++
		r.learn(tail)
		time.Sleep(r.trip)
	}
}

func (r *rival) learn(e *driver.TailError) {
	for _, b := range e.News {
		r.tails[b.Shard] = b.First - 1 + driver.Revision(len(b.Commits))
	}
	r.tails[e.Shard] = e.Tail
}

// compete lets rivals work for d. shards says what the n-th write of a rival is to.
func compete(t *testing.T, d time.Duration, list []*rival, shards func(rival, n int) []int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var wg sync.WaitGroup
	for i, r := range list {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := r.write(ctx, shards(i, n)...); err != nil && ctx.Err() == nil {
					t.Errorf("rival %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

func rivals(trips ...time.Duration) []*rival {
	t, store := newTurns(false, noTails), memlog.Open()
	var list []*rival
	for _, trip := range trips {
		list = append(list, &rival{turns: t, party: t.join(), store: store, sync: time.Millisecond, trip: trip, tails: map[int]driver.Revision{}})
	}
	return list
}

func always(shards ...int) func(int, int) []int { return func(int, int) []int { return shards } }

// TestTurns: of processes that want one shard each has the same share, and a refusal is
// paid once a success.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := rivals(200*time.Microsecond, 200*time.Microsecond, 200*time.Microsecond, 200*time.Microsecond)
		compete(t, time.Second, list, always(0))
		for i, r := range list {
			if r.won < 205 || r.lost > r.won+5 {
				t.Errorf("rival %d has won %d and lost %d", i, r.won, r.lost)
			}
		}
	})
}

// TestTurnsApart: who wants shards that nobody else wants neither waits for others nor is
// refused.
func TestTurnsApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := rivals(100*time.Microsecond, 100*time.Microsecond, 100*time.Microsecond)
		compete(t, time.Second, list, func(rival, n int) []int { return []int{min(rival, 1)} })
		if apart := list[0]; apart.lost > 0 || apart.won < 999 {
			t.Errorf("the one apart has won %d and lost %d", apart.won, apart.lost)
		}
	})
}

// TestTurnsOfTheSlow: a process that takes longer to come back than the others'
// turns last is not left out.
func TestTurnsOfTheSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := rivals(100*time.Microsecond, 100*time.Microsecond, 30*time.Millisecond)
		compete(t, 20*time.Second, list, always(0))
		if slow := list[2]; slow.won < 20 {
			t.Errorf("the slow one has won %d and lost %d; the others %d and %d", slow.won, slow.lost, list[0].won, list[1].won)
		}
		if list[0].won < 2000 {
			t.Errorf("the fast one has won %d", list[0].won)
		}
	})
}

// TestTurnsOverShards: a Write over several shards has its turn beside many that
// want one of them, and those that overlap in any order do not stop each other.
func TestTurnsOverShards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		same := 100 * time.Microsecond
		list := rivals(same, same, same, same, same)
		compete(t, 5*time.Second, list, func(rival, n int) []int {
			switch rival {
			case 0:
				return []int{0, 1, 2}
			case 1:
				return []int{2, 0}
			}
			return []int{(rival + n) % 3}
		})
		for i, r := range list {
			if r.won < 300 {
				t.Errorf("rival %d has won %d and lost %d", i, r.won, r.lost)
			}
		}
	})
}

// TestTurnsOfTheDead: a process that has gone, or hangs, holds nobody up for long.
func TestTurnsOfTheDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := rivals(0, 0, 0)
		ctx := t.Context()
		if err := list[0].write(ctx, 0); err != nil {
			t.Fatal(err)
		}
		stale := driver.Write{Batches: []driver.Batch{{Shard: 0, First: 1, Commits: []driver.Commit{{Revision: 1}}}}}
		for _, leave := range []bool{true, false} {
			hung := list[2]
			if leave {
				hung = list[1]
			}
			if err := list[0].turns.do(ctx, &waiter{party: hung.party, write: &stale}, later(func() error { return errors.New("it came to the store") })); !errors.As(err, new(*driver.TailError)) {
				t.Fatal(err)
			}
			begin := time.Now()
			if leave {
				list[0].turns.part(hung.party)
			}
			if err := list[0].write(ctx, 0); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); leave && took > 2*time.Millisecond || took > shortTurn+2*time.Millisecond {
				t.Errorf("it waited for %v", took)
			}
		}
	})
}

// TestTurnsAndContext: who stands in line and goes away leaves the line as it was.
func TestTurnsAndContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := rivals(0, 0)
		list[0].sync = time.Second
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := list[0].write(t.Context(), 0); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := list[1].write(ctx, 0, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in line: %v", err)
		}
		wg.Wait()
		if err := list[1].write(t.Context(), 1, 0); err != nil {
			t.Error(err)
		}
		if tail, err := list[0].store.Tail(t.Context(), 1); tail != 1 || err != nil {
			t.Errorf("shard 1 has tail %d: %v", tail, err)
		}
	})
}

func batch(shard int, first driver.Revision, commits int) driver.Batch {
	b := driver.Batch{Shard: shard, First: first}
	for i := range commits {
		b.Commits = append(b.Commits, driver.Commit{Revision: first + driver.Revision(i), Data: []byte("x")})
	}
	return b
}

// noTails is a store in which nothing was written before.
func noTails(int) (driver.Revision, error) { return 0, nil }

// later is a store that does all when it is waited for.
func later(f func() error) (start func() (wait func() error)) {
	return func() func() error { return f }
}

// do lets a party write; the store gives the answer.
func do(t *testing.T, x *turns, p *party, answer error, list ...driver.Batch) error {
	t.Helper()
	return x.do(t.Context(), &waiter{party: p, write: &driver.Write{Batches: list}}, later(func() error { return answer }))
}

// TestTurnsOfADeadElder: a process that goes while it keeps several shards keeps
// the next one from none.
func TestTurnsOfADeadElder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newTurns(false, noTails)
		a, b := x.join(), x.join()
		var wg sync.WaitGroup
		wg.Go(func() {
			w := driver.Write{Batches: []driver.Batch{batch(0, 1, 1)}}
			if err := x.do(t.Context(), &waiter{party: a, write: &w}, later(func() error { time.Sleep(time.Second); return nil })); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := do(t, x, b, nil, batch(0, 2, 1), batch(1, 1, 1)); !errors.Is(err, errGone) {
				t.Error(err)
			}
		})
		synctest.Wait()
		x.part(b)
		wg.Wait()
		if x.holder == b || len(x.line) > 0 || x.lane(1).turn != nil {
			t.Error("it keeps shards for ever")
		}
	})
}

// TestTurnsOfTheLosing: who comes back in time and loses again, as often as it likes,
// does not keep the turn.
func TestTurnsOfTheLosing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newTurns(true, noTails)
		p, q := x.join(), x.join()
		if err := do(t, x, p, nil, batch(0, 1, 1)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = x.do(ctx, &waiter{party: q, write: &driver.Write{Batches: []driver.Batch{batch(0, 1, 1)}}}, later(func() error { return nil }))
				time.Sleep(shortTurn / 2)
			}
		})
		for first := range driver.Revision(10) {
			time.Sleep(5 * longTurn)
			begin := time.Now()
			w := driver.Write{Batches: []driver.Batch{batch(0, first+2, 1)}}
			err := x.do(ctx, &waiter{party: p, write: &w}, later(func() error { return nil }))
			if took := time.Since(begin); err != nil || took > longTurn+shortTurn {
				t.Errorf("after %v: %v", took, err)
			}
		}
	})
}
