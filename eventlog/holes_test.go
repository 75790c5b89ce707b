package eventlog

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// holed is a store that lost commits.
type holed struct {
	driver.Log
	lost func(driver.Revision) bool
}

func (h *holed) Read(ctx context.Context, shard int, r driver.Range) iter.Seq2[driver.Commit, error] {
	return func(yield func(driver.Commit, error) bool) {
		for c, err := range h.Log.Read(ctx, shard, r) {
			if h.lost != nil && h.lost(c.Revision) {
				continue
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

func TestCheckFindsHoles(t *testing.T) {
	t.Parallel()
	h := &holed{Log: memlog.Open()}
	l, err := Open(t.Context(), h, &Options{Shards: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newDamageable(l)
	putDamaged(t, h, d.stored)
	for name, c := range map[string]struct {
		lost func(driver.Revision) bool
		says string
	}{
		"first":  {func(r driver.Revision) bool { return r == 1 }, "shard 1 revision 1: corrupt: missing; the next one is 2"},
		"middle": {func(r driver.Revision) bool { return r == 2 }, "shard 1 revision 2: corrupt: missing; the next one is 3"},
		"last":   {func(r driver.Revision) bool { return r == 3 }, "shard 1 revision 3: corrupt: missing; the tail is 3"},
	} {
		h.lost = c.lost
		if err := Check(t.Context(), l); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: Check says %v, expected %s", name, err, c.says)
		}
	}
}
