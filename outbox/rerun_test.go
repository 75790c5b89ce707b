package outbox_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
)

// TestBatchThatRunsAgain: when a batch's transaction runs again, because of a
// conflict, and holds less than before, what is left out is not taken for done.
func TestBatchThatRunsAgain(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	shard := l.ShardOf("a/1")
	targets := []string{"a/1"}
	for _, lane := range []string{"b", "c", "d"} {
		targets = append(targets, streamIn(l, lane, shard, true))
	}
	runs := 0
	h := outbox.On(func(tx *eventlog.Tx, a Add) error {
		size := 10
		if a.To == targets[0] {
			for _, err := range tx.Read(eventlog.Query{Stream: "seen/1"}) {
				if err != nil {
					return err
				}
			}
			if runs++; runs == 1 { // somebody else is quicker
				if _, err := l.Append(context.Background(), "seen/1", nil, Added{1}); err != nil {
					return err
				}
			}
		} else if runs > 1 {
			size = 500_000
		}
		return tx.Append(a.To, Added{a.N}, eventlog.Raw{Type: "test.pad", Data: []byte(`"` + strings.Repeat("x", size) + `"`)})
	}, nil)
	var steps []outbox.Step
	for _, to := range targets {
		steps = append(steps, Add{to, 1})
	}
	update(t, l, func(tx *eventlog.Tx) error {
		for _, s := range steps {
			if err := outbox.Enqueue(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	drain(t, runner(l, h))
	for _, to := range targets {
		if got := counted(t, l, to); !slices.Equal(got, []int{1}) {
			t.Errorf("%s: %v", to, got)
		}
	}
	if n := len(pending(t, l)); n != 0 || runs != 2 {
		t.Errorf("%d pending after %d runs", n, runs)
	}
}
