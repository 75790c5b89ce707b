package cost

import (
	"math"
	"testing"
)

func TestOperations(t *testing.T) {
	t.Parallel()
	w := Workload{Events: 1_000_000, Block: 100, Bytes: 300, Keys: 1, Rows: 1, Batch: 500}
	for name, c := range map[string]struct{ got, want Operations }{
		"append":  {Append(w), Operations{Writes: 10_000, IndexEntries: 2_020_000}},
		"replay":  {Replay(w), Operations{Reads: 10_000}},
		"project": {Project(w), Operations{Reads: 1_012_000, Writes: 1_002_000}},
		"partial": {Append(Workload{Events: 101, Block: 100, Keys: 2}), Operations{Writes: 2, IndexEntries: 2 * (2 + 202)}},
		"nothing": {Append(Workload{}), Operations{}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, expected %+v", name, c.got, c.want)
		}
	}
}

func TestPrice(t *testing.T) {
	t.Parallel()
	p := Prices{Reads: 1, Writes: 3, Deletes: 5, Storage: 2}
	if got := p.Price(Operations{Reads: 100_000, Writes: 200_000, Deletes: 50_000, IndexEntries: 7}); got != 1+6+2.5 {
		t.Errorf("%v", got)
	}
	one := Workload{Events: 1, Block: 1, Bytes: 1<<30 - 300 - 50 - 4*120, Keys: 1}
	if got := p.Keep(one); math.Abs(got-2) > 1e-9 {
		t.Errorf("a GiB costs %v a month, expected 2", got)
	}
}
