package eventlog_test

import (
	"slices"
	"testing"
	"testing/synctest"
)

// TestConditionsOnWhatIsPending is TestConditions with changes that are queued but
// not durable: the store knows nothing of them yet, and an Update that read before
// them what they change runs again all the same.
func TestConditionsOnWhatIsPending(t *testing.T) {
	t.Parallel()
	names := newArena(fresh(t), "")
	for look := range names.looks() {
		for change, c := range names.changes() {
			want := 1
			if slices.Contains(c.breaks, look) {
				want = 2
			}
			synctest.Test(t, func(t *testing.T) {
				if runs := meetPending(t, look, change); runs != want {
					t.Errorf("read %s, meanwhile %s: the function ran %d times, expected %d", look, change, runs, want)
				}
			})
		}
	}
}

// meetPending counts the runs of an Update that looks before a change is queued and
// joins behind it. Another write is in flight meanwhile, so that the two share the
// next one, and nobody but the lanes can tell them apart.
func meetPending(t *testing.T, look, change string) (runs int) {
	l, f := faulty(t, nil)
	a := newArena(l, "")
	a.fill(t)
	gate := make(chan struct{})
	f.Inject(holdWrites(gate))
	ahead := begin(func() error {
		_, err := l.Append(t.Context(), inShard(l, (l.ShardOf(a.out)+1)%l.Shards(), "ahead"), nil, entry{"1"})
		return err
	})
	synctest.Wait()
	looked, queued := make(chan struct{}), make(chan struct{})
	answer := begin(func() (err error) {
		runs, err = a.meet(look, func() {
			close(looked)
			<-queued
		})
		return err
	})
	<-looked
	changed := begin(func() error {
		_, err := l.Update(t.Context(), a.changes()[change].do)
		return err
	})
	synctest.Wait()
	close(queued)
	synctest.Wait()
	close(gate)
	is(t, <-ahead, nil)
	is(t, <-changed, nil)
	is(t, <-answer, nil)
	return runs
}
