package datastorelog

import (
	"fmt"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/emulator"
)

// TestCostOfLooks: a look at the ends of all shards is a few calls, each of them for many,
// and who reads on from a place that this process has seen needs no query.
func TestCostOfLooks(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		const shards = 16
		s, project, m := leg.server(t), emulator.Project(), new(meter)
		open := func(d driver.Log) *eventlog.Log {
			l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Shards: shards})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			return l
		}
		there, here := open(s.open(t, project, nil)), s.open(t, project, &Options{Hooks: m.hooks()})
		add := func(times int) {
			t.Helper()
			for range times {
				_, err := there.Update(t.Context(), func(tx *eventlog.Tx) error {
					for i := range 8 * shards {
						if err := tx.Append(fmt.Sprintf("s/%d", i), noted{"x"}); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		add(1)
		l := open(here)
		ends := func() eventlog.Position {
			t.Helper()
			p, err := l.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		first := ends()
		m.take()
		if ends(); true {
			got, calls := m.take()
			if got != (Usage{Reads: shards}) || calls["RunQuery"] > 0 || calls["Lookup"] > 3 {
				t.Errorf("a look at %d shards costs %+v by %v, expected %d reads by one or two calls", shards, got, calls, shards)
			}
		}
		add(1)
		p := ends()
		got, calls := m.take()
		if got != (Usage{Reads: 2 * shards}) || calls["RunQuery"] > 0 || calls["Lookup"] > 8 {
			t.Errorf("a look at %d shards with a block more costs %+v by %v, expected %d reads by a few calls", shards, got, calls, 2*shards)
		}
		for shard := range shards { // as projections read
			read(t, here, shard, driver.Range{From: uint64(first.Revision(shard)) + 1, To: uint64(p.Revision(shard)) + 1}, 1)
		}
		costs(t, "what came, up to its end", m, Usage{Reads: shards})
		read(t, here, 0, driver.Range{From: 1}, 2)
		costs(t, "a shard from its beginning", m, Usage{Reads: 3})

		add(5)
		ends()
		m.take()
		read(t, here, 0, driver.Range{From: uint64(p.Revision(0)) + 1}, 5)
		if got, calls := m.take(); got.Reads > 10 || calls["Lookup"] > 4 || calls["RunQuery"] > 0 {
			t.Errorf("five blocks cost %+v by %v, expected few look-ups", got, calls)
		}
		read(t, here, 0, driver.Range{From: uint64(p.Revision(0)) + 3, To: uint64(p.Revision(0)) + 5}, 2)
		m.take()
	})
}

// read reads the commits of a shard, which are n.
func read(t *testing.T, l *Log, shard int, r driver.Range, n int) {
	t.Helper()
	at := driver.Revision(r.From)
	for c, err := range l.Read(t.Context(), shard, r) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Revision != at {
			t.Fatalf("shard %d: revision %d, want %d", shard, c.Revision, at)
		}
		at++
	}
	if got := int(at) - int(r.From); got != n {
		t.Errorf("shard %d: %d commits from %d, want %d", shard, got, r.From, n)
	}
}

// TestWhereReadingsBegin: the number of the block that a reading begins with is that which the store
// has, however much was forgotten.
func TestWhereReadingsBegin(t *testing.T) {
	t.Parallel()
	var h heads
	if next, _ := h.begin(3, 0); next != 0 {
		t.Errorf("of a shard that nobody saw: %d", next)
	}
	last := driver.Revision(0)
	for block := uint64(1); block <= 5*keptPlaces; block++ {
		last += driver.Revision(block % 3) // some are empty
		p := place{last, block}
		if block%2 == 0 {
			h.learn(3, p)
		} else {
			h.write(3, p, 0)
		}
		h.learn(3, place{last - last%2, block - 1}) // old
		next, end := h.begin(3, last)
		if next != block+1 || end != p {
			t.Fatalf("behind revision %d: block %d, end %v, want %d and %v", last, next, end, block+1, p)
		}
	}
	if next, _ := h.begin(3, 0); next != 1 {
		t.Errorf("the first block is %d", next)
	}
	if next, _ := h.begin(3, 1); next != 0 {
		t.Errorf("what was forgotten begins with block %d", next)
	}
	if next, _ := h.begin(3, last+1); next != 0 {
		t.Errorf("behind the end: block %d", next)
	}
	if n := len(h.shards[3].before); n > 2*keptPlaces {
		t.Errorf("%d places are kept", n)
	}
}
