package eventlog_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

const positionShards = 12

// drawPosition draws a position together with the revisions that it stands for.
func drawPosition(t *rapid.T) (p eventlog.Position, revs [positionShards]driver.Revision) {
	for _, shard := range rapid.SliceOfN(rapid.IntRange(0, positionShards-1), 0, 8).Draw(t, "shards") {
		revs[shard] = driver.Revision(rapid.Uint64().Draw(t, "revision"))
		p = p.With(shard, revs[shard])
	}
	return p, revs
}

func TestPositionText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, revs := drawPosition(t)
		back, err := eventlog.ParsePosition(p.String())
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		for shard, rev := range revs {
			if p.Revision(shard) != rev || back.Revision(shard) != rev {
				t.Fatalf("shard %d at %d, read back %d, expected %d", shard, p.Revision(shard), back.Revision(shard), rev)
			}
		}
		data, err := json.Marshal(map[string]eventlog.Position{"at": p})
		if err != nil {
			t.Fatal(err)
		}
		var in map[string]eventlog.Position
		if err := json.Unmarshal(data, &in); err != nil || in["at"].String() != p.String() {
			t.Fatalf("%s reads back as %q, %v", data, in["at"], err)
		}
	})
	for text, want := range map[string]string{"": "", "3:4 0:17": "0:17 3:4", " 0:0  1:1 ": "1:1"} {
		if p, err := eventlog.ParsePosition(text); err != nil || p.String() != want {
			t.Errorf("%q reads as %q, %v, expected %q", text, p, err, want)
		}
	}
	for _, bad := range []string{"x", "1", "1:", ":1", "-1:1", "1:-1", "1:x", "99999999:1", "1:1:1", "0:17,3:4"} {
		if p, err := eventlog.ParsePosition(bad); err == nil {
			t.Errorf("%q reads as %q", bad, p)
		}
	}
}

// TestPositionOrder: Covers is the order of vectors, Join its least upper bound.
func TestPositionOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, a := drawPosition(t)
		q, b := drawPosition(t)
		covers, zero := true, true
		join := p.Join(q)
		for shard := range a {
			covers = covers && a[shard] >= b[shard]
			zero = zero && a[shard] == 0
			if join.Revision(shard) != max(a[shard], b[shard]) {
				t.Fatalf("%q joined with %q is %q", p, q, join)
			}
		}
		if p.Covers(q) != covers || p.IsZero() != zero {
			t.Fatalf("%q covers %q: %t; is zero: %t", p, q, p.Covers(q), p.IsZero())
		}
		if !join.Covers(p) || !join.Covers(q) {
			t.Fatalf("%q does not cover %q and %q", join, p, q)
		}
	})
}

// TestPositionsAreValues: only Advance changes a position, and no clone of it.
func TestPositionsAreValues(t *testing.T) {
	t.Parallel()
	p := eventlog.Position{}.With(1, 5)
	q, c := p.With(1, 6).With(0, 9), p.Clone()
	_ = p.Join(q)
	p.Advance(eventlog.Record{Shard: 1, Revision: 7})
	p.Advance(eventlog.Record{Shard: 3, Revision: 2})
	p.Advance(eventlog.Record{Shard: 1, Revision: 6}) // it never goes back
	if p.String() != "1:7 3:2" || q.String() != "0:9 1:6" || c.String() != "1:5" {
		t.Errorf("positions %q, %q, %q", p, q, c)
	}
	if got := p.Revision(-1) + p.Revision(99); got != 0 {
		t.Errorf("revision %d in shards that the position lacks", got)
	}
}
