package outbox

import (
	"context"
	"testing"
)

// TestQueueChangesItsPlace: when the first item of a target is taken out, because
// its source is lost, the target is ready where the next one belongs: that may be
// an Effect, or of another priority.
func TestQueueChangesItsPlace(t *testing.T) {
	t.Parallel()
	plain := &Handler{Type: "plain", Do: nothing}
	low := &Handler{Type: "low", Do: nothing, Policy: Policy{Priority: -1}}
	effect := &Handler{Type: "effect", Effect: func(context.Context, string, Raw) (Step, error) { return nil, nil }}
	lost, other := new(source), new(source)
	any := func(*queue) bool { return true }
	for _, test := range []struct {
		first, second *Handler
		slot          int
	}{{plain, effect, 1}, {effect, plain, 0}, {plain, low, 0}} {
		qs := newQueues(1)
		qs.add(&item{target: "a/1", handler: test.first, src: lost}, 0)
		qs.add(&item{target: "a/1", handler: test.second, src: other}, 0)
		qs.add(&item{target: "a/2", handler: plain, src: other}, 0)
		if n := len(qs.remove("a/1", func(it *item) bool { return it.src == lost })); n != 1 {
			t.Errorf("%d removed", n)
		}
		if q := qs.take(0, any); q.target != "a/2" && test.second != plain {
			t.Errorf("%s, then %s: %s goes first", test.first.Type, test.second.Type, q.target)
			continue
		}
		if q := qs.take(test.slot, any); q == nil || qs.count != 0 {
			t.Errorf("%s, then %s: it is not ready in its place", test.first.Type, test.second.Type)
		}
	}
}
