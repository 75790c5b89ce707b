package outbox_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestSavepointInAHandler: what a handler has enqueued in a savepoint of its own
// is taken back with the savepoint, whichever target it is for.
func TestSavepointInAHandler(t *testing.T) {
	t.Parallel()
	for name, batch := range map[string]int{"in one commit": 128, "in a commit each": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := eventlogtest.New(t)
			step := func(tx *eventlog.Tx, n int, then error) error {
				return tx.Savepoint(func() error {
					for _, to := range []string{"a/1", "b/1"} {
						if err := outbox.Enqueue(tx, Add2{to, n}); err != nil {
							return err
						}
					}
					return then
				})
			}
			h := outbox.On(func(tx *eventlog.Tx, a Add) error {
				if err := step(tx, 1, nil); err != nil {
					return err
				}
				err := tx.Savepoint(func() error {
					return errors.Join(step(tx, 2, nil), step(tx, 3, errFail), step(tx, 4, nil))
				})
				if !errors.Is(err, errFail) {
					t.Errorf("savepoint: %v", err)
				}
				func() {
					defer func() { _ = recover() }()
					_ = tx.Savepoint(func() error {
						_ = step(tx, 5, nil)
						panic("out of paper")
					})
				}()
				return step(tx, 6, nil)
			}, nil)
			add := outbox.On(func(tx *eventlog.Tx, a Add2) error { return tx.Append(a.To, Added{a.N}) }, nil)
			enqueue(t, l, Add{"a/1", 0})
			r := runner(l, h, add)
			r.Batch = batch
			drain(t, r)
			for _, to := range []string{"a/1", "b/1"} {
				if got := added(t, l, to); !slices.Equal(got, []int{1, 6}) {
					t.Errorf("%s: %v", to, got)
				}
			}
		})
	}
}
