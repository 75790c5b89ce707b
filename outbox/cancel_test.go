package outbox_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestCancelInABatch: a step that takes another one of its target back has done so
// also when both are in one batch.
func TestCancelInABatch(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		l := eventlogtest.New(t)
		var ids []eventlog.ID
		h := outbox.On(func(tx *eventlog.Tx, a Add2) error {
			err := tx.Savepoint(func() error {
				for _, id := range ids[:2] {
					if done, err := outbox.Cancel(tx, id, a.To); err != nil || done {
						return fmt.Errorf("done: %v, %w", done, err)
					}
				}
				if keep {
					return errFail
				}
				return nil
			})
			if keep {
				return nil
			}
			return err
		}, nil)
		update(t, l, func(tx *eventlog.Tx) error {
			ids = nil
			if err := outbox.Enqueue(tx, Add2{"a/1", 0}); err != nil {
				return err
			}
			for i := range 3 {
				id, err := outbox.At(tx, tx.Time(), Add{"a/1", i})
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return nil
		})
		drain(t, runner(l, h, adding))
		want := []int{2}
		if keep {
			want = []int{0, 1, 2}
		}
		if got := added(t, l, "a/1"); !slices.Equal(got, want) {
			t.Errorf("rolled back %v: %v", keep, got)
		}
		if n, m := len(pending(t, l)), len(dead(t, l)); n+m != 0 {
			t.Errorf("%d pending, %d dead", n, m)
		}
	}
}

// TestChainBehindWhatDoesNotFit: what a step enqueues for its own target does not
// overtake steps that had no room in its commit.
func TestChainBehindWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	wide := outbox.On(func(tx *eventlog.Tx, a Add2) error {
		for i := range 32 {
			var tags []string
			for j := range eventlog.MaxTags {
				tags = append(tags, fmt.Sprint(a.N, "-", i, "-", j))
			}
			if err := tx.Append("pad/1", eventlog.Tagged(Added{i}, tags...)); err != nil {
				return err
			}
		}
		if err := tx.Append(a.To, Added{a.N}); err != nil {
			return err
		}
		return outbox.Enqueue(tx, Add{a.To, 10 + a.N})
	}, nil)
	enqueue(t, l, Add2{"a/1", 0}, Add2{"a/1", 1}, Add2{"a/1", 2}, Add2{"a/1", 3})
	drain(t, runner(l, wide, adding))
	if got := added(t, l, "a/1"); !slices.Equal(got, []int{0, 1, 2, 3, 10, 11, 12, 13}) {
		t.Errorf("a/1: %v", got)
	}
}
