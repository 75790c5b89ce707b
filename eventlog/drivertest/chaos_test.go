package drivertest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

var methods = []string{"Write", "Tail", "Read", "Find", "Keys", "Cells", "Watch"}

func TestChaosIsDeterministic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // timers of delays
		faults := func(seed uint64, order []string) map[string][]Fault {
			plan, n := Chaos(seed, Even), make(map[string]int)
			got := make(map[string][]Fault)
			for i, m := range order {
				n[m]++
				f := plan(Call{Method: m, N: n[m], Total: i + 1, Shard: i})
				for _, gate := range []*<-chan struct{}{&f.Before, &f.After} {
					if *gate != nil {
						<-*gate // it opens by itself
						*gate = open
					}
				}
				got[m] = append(got[m], f)
			}
			return got
		}
		one := slices.Repeat(methods, 100)
		other := slices.Clone(one)
		slices.Sort(other) // the same calls in another order
		if a, b := faults(7, one), faults(7, other); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("one seed, two plans:\n%v\n%v", a, b)
		}
		if a, b := faults(7, one), faults(8, one); fmt.Sprint(a) == fmt.Sprint(b) {
			t.Errorf("two seeds, one plan: %v", a)
		}
	})
}

var open = make(chan struct{})

func TestChaosOdds(t *testing.T) {
	t.Parallel()
	const n = 4000
	odds := Odds{Fail: 0.1, Lose: 0.2, Drop: 0.3, Late: 0.15, Tail: 0.4, Cut: 0.5, Hide: 0.25, Ahead: 0.35, LateWithin: 3, CutWithin: 2}
	plan := Chaos(1, odds)
	got := make(map[string]float64)
	for _, m := range methods {
		for i := range n {
			f := plan(Call{Method: m, N: i + 1})
			got[fmt.Sprint(m, " ", f.Kind)] += 1.0 / n
			if f.Kind == Late && (f.N < 1 || f.N > 3) || f.Kind == Fail && (f.N < 0 || f.N > 2) || f.Before != nil || f.After != nil {
				t.Fatalf("%s: fault %+v", m, f)
			}
		}
	}
	for what, p := range map[string]float64{
		"Write fail": 0.1, "Write lose": 0.2, "Write drop": 0.3, "Write late": 0.15, "Write none": 0.25,
		"Tail fail": 0.4, "Tail none": 0.6, "Read fail": 0.5, "Find fail": 0.5, "Keys fail": 0.5, "Cells fail": 0.5,
		"Read none": 0.5, "Find none": 0.5, "Keys none": 0.5, "Cells none": 0.5,
		"Watch hide": 0.25, "Watch ahead": 0.35, "Watch none": 0.4,
	} {
		if math.Abs(got[what]-p) > 0.03 {
			t.Errorf("%s: %.3f of all calls, expected %.3f", what, got[what], p)
		}
		delete(got, what)
	}
	if len(got) > 0 {
		t.Errorf("faults that no odds allow: %v", got)
	}
	for _, m := range methods {
		if f := Chaos(1, Odds{})(Call{Method: m, N: 1}); f != (Fault{}) {
			t.Errorf("without odds %s has the fault %+v", m, f)
		}
	}
}

// TestChaosKeepsTheContract: a caller that repeats after ErrUnknown until the
// place is taken, and believes every other error, is never wrong about what the
// store holds; however late the last write arrives.
func TestChaosKeepsTheContract(t *testing.T) {
	t.Parallel()
	seeds := uint64(200)
	if os.Getenv("ROLLFORWARD_SOAK") == "1" {
		seeds = 10_000
	}
	injected := make(map[Kind]int)
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			store := memlog.NewStore()
			var handles []*Faulty
			for i := range uint64(2) {
				handles = append(handles, NewFaulty(store.Open(), Chaos(seed*2+i, Even)))
			}
			outcomes := make([][]outcome, 4)
			together(t, len(outcomes), func(i int) (err error) {
				outcomes[i], err = contend(t.Context(), handles[i%2], fmt.Sprintf("seed %d writer %d", seed, i))
				return err
			})
			for _, f := range handles {
				f.Deliver(t.Context())
				for k := range Kind(kinds) {
					injected[k] += f.Injected(k)
				}
			}
			log := store.Open()
			s := look(t, log, 0, 1)
			for _, o := range slices.Concat(outcomes...) {
				o.check(t, s)
			}
			for _, l := range append([]driver.Log{log}, handles[0], handles[1]) {
				closed(t, l)
			}
		})
	}
	for _, k := range []Kind{Fail, Lose, Drop, Late} {
		if injected[k] == 0 {
			t.Errorf("no fault %s in all seeds", k)
		}
	}
}

// An outcome is what a writer believes about its data.
type outcome struct {
	data string
	rev  driver.Revision
	won  bool
}

func (o outcome) check(t *testing.T, s state) {
	t.Helper()
	for shard := range 2 {
		var at []driver.Revision
		for _, r := range s.Rows[shard] {
			if r.Data == o.data {
				at = append(at, r.Revision)
			}
		}
		var want []driver.Revision
		if o.won {
			want = []driver.Revision{o.rev}
		}
		equal(t, fmt.Sprintf("places of %q in shard %d", o.data, shard), at, want)
	}
	held := slices.ContainsFunc(s.Cells, func(c driver.Cell) bool { return c.Key == o.data })
	equal(t, fmt.Sprintf("cell %q is there", o.data), held, o.won)
}

// contend races for places in two shards at once and says how each try ended.
func contend(ctx context.Context, log driver.Log, name string) ([]outcome, error) {
	var list []outcome
	for n := range 8 {
		rev, err := log.Tail(ctx, 0)
		if err != nil {
			continue // injected; another try
		}
		data := fmt.Sprint(name, " number ", n)
		w := request([]driver.Batch{batch(0, rev+1, data), batch(1, rev+1, data)}, when(0, put(data, "", 1)))
		ok, err := settle(ctx, log, w)
		if err != nil {
			return nil, err
		}
		list = append(list, outcome{data, rev + 1, ok})
	}
	return list, nil
}

// settle writes w as a careful caller does.
func settle(ctx context.Context, log driver.Log, w driver.Write) (won bool, err error) {
	unknown := false
	for range 1000 {
		err := log.Write(ctx, w)
		var tail *driver.TailError
		switch {
		case err == nil:
			return true, nil
		case errors.As(err, &tail) && !unknown:
			return false, nil
		case errors.As(err, &tail):
			for {
				if won, err := holdsPlace(ctx, log, w.Batches); err == nil {
					return won, nil
				}
			}
		case errors.Is(err, driver.ErrUnknown):
			unknown = true
		case !unknown:
			return false, nil // this was the only call, and it says that nothing happened
		}
	}
	return false, errors.New("no outcome after 1000 calls")
}
