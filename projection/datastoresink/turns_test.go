package datastoresink

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/projection"
)

// TestTurns: who was second waits the next time, and who was first does not.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		b := projection.Batch{Name: "p", Moves: []projection.Move{{To: projection.Checkpoint{Shard: 3}}}}
		waits := func(b projection.Batch) time.Duration {
			start := time.Now()
			if turns.wait(t.Context(), b) != (time.Since(start) > 0) {
				t.Error("it does not say whether it waited")
			}
			return time.Since(start)
		}
		if d := waits(b); d != 0 {
			t.Errorf("at first: %v", d)
		}
		turns.taken(b, errors.New("away"))
		if d := waits(b); d != 0 {
			t.Errorf("after an error: %v", d)
		}
		turns.taken(b, projection.ErrMoved)
		if d := waits(b); d < courtesy || d > 2*courtesy {
			t.Errorf("the second: %v", d)
		}
		if d := waits(projection.Batch{Name: "q", Moves: b.Moves}); d != 0 {
			t.Errorf("another projection: %v", d)
		}
		turns.taken(b, nil)
		if d := waits(b); d != 0 {
			t.Errorf("the first: %v", d)
		}
	})
}

// TestOneByOne: after a conflict the transactions of a projection run alone for a while, the
// longer the sooner there is another one.
func TestOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		together := func(conflict bool) int32 {
			var now, most atomic.Int32
			done := make(chan error)
			for range 5 {
				go func() {
					done <- turns.run(t.Context(), "p", conflict, func() error {
						n := now.Add(1)
						defer now.Add(-1)
						if m := most.Load(); n > m {
							most.Store(n)
						}
						time.Sleep(firstAlone / 20)
						return nil
					})
				}()
				synctest.Wait()
			}
			for range 5 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			return most.Load()
		}
		if n := together(false); n != 5 {
			t.Errorf("%d at a time, want 5", n)
		}
		if n := together(true); n != 1 {
			t.Errorf("after a conflict %d at a time, want 1", n)
		}
		if n := together(false); n != 1 {
			t.Errorf("soon after a conflict %d at a time, want 1", n)
		}
		for span := firstAlone; span <= 2*lastAlone; span *= 2 {
			time.Sleep(min(span, lastAlone) - 10*firstAlone/20 - 1)
			if n := together(false); n != 1 {
				t.Errorf("within %v after a conflict %d at a time, want 1", span, n)
			}
			if n := together(false); n != 5 {
				t.Errorf("%v after a conflict %d at a time, want 5", span, n)
			}
			together(true) // takes a quarter of the first span
			together(false)
		}
		time.Sleep(3 * lastAlone)
		together(true)
		time.Sleep(firstAlone)
		if n := together(false); n != 5 {
			t.Errorf("%v after a conflict by chance %d at a time, want 5", firstAlone, n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			_ = turns.run(t.Context(), "p", true, func() error { time.Sleep(time.Minute); return nil })
		}()
		synctest.Wait()
		if err := turns.run(ctx, "p", false, func() error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits too long: %v", err)
		}
		time.Sleep(time.Minute)
	})
}
