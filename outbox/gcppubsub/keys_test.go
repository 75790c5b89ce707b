package gcppubsub

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A key that failed is resumed when the last call that was under way has left,
// not before, and who comes meanwhile waits.
func TestFailedKeyWaitsForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var resumed atomic.Int32
		k := keys{resume: func(string) { resumed.Add(1) }}
		enter := func(names ...string) {
			if err := k.enter(t.Context(), names); err != nil {
				t.Error(err)
			}
		}
		enter("a")
		enter("a", "b")
		k.leave([]string{"a"}, map[string]bool{"a": true})
		entered := make(chan struct{})
		go func() {
			enter("a")
			close(entered)
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Error("a call entered behind a failure while another one was under way")
		default:
		}
		if n := resumed.Load(); n != 0 {
			t.Error("resumed too early")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := k.enter(ctx, []string{"a"}); !errors.Is(err, context.Canceled) {
			t.Errorf("a call that was told to end says %v", err)
		}
		enter("b") // has not failed
		k.leave([]string{"a", "b"}, nil)
		<-entered
		if n := resumed.Load(); n != 1 {
			t.Errorf("resumed %d times", n)
		}
		k.leave([]string{"a"}, nil)
		k.leave([]string{"b"}, nil)
		if len(k.busy) != 0 {
			t.Errorf("%d keys are left", len(k.busy))
		}
	})
}

// Calls that wait for each other's keys do not stand still: who waits holds none.
func TestFailedKeysDoNotDeadlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keys{resume: func(string) {}}
		for round := range 200 {
			done := make(chan struct{}, 4)
			for i := range 4 {
				go func() {
					names := []string{string(rune('a' + (i+round)%3)), string(rune('a' + (i+round+1)%3))}
					if err := k.enter(t.Context(), names); err != nil {
						t.Error(err)
					}
					k.leave(names, map[string]bool{names[round%2]: true})
					done <- struct{}{}
				}()
			}
			for range 4 {
				<-done
			}
		}
		if len(k.busy) != 0 {
			t.Errorf("%d keys are left", len(k.busy))
		}
	})
}
