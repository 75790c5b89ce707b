package drivertest

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Odds are probabilities from 0 to 1 for one call of a method that the fault
// suits.
type Odds struct {
	Fail, Lose, Drop, Late float64 // of a Write or a Move; their sum is at most 1
	Tail                   float64 // that a Tail fails
	Cut                    float64 // that a Read, Find, Keys or Cells fails, after up to CutWithin items
	Hide, Ahead            float64 // of a Watch; their sum is at most 1
	Delay                  float64 // that a Write, a Move or a Tail is held back, before it or with its answer, for up to DelayWithin

	LateWithin  int           // later calls; 0 means 8
	CutWithin   int           // items; 0 means 4
	DelayWithin time.Duration // 0 means a millisecond
}

// Even is a bit of everything: enough that a hundred writes meet every fault,
// little enough that they make progress.
var Even = Odds{
	Fail: 0.05, Lose: 0.05, Drop: 0.05, Late: 0.05,
	Tail: 0.05, Cut: 0.05, Hide: 0.2, Ahead: 0.2, Delay: 0.1,
}

// Chaos is a plan that picks faults at random. The fault of the n-th call of a
// method depends on nothing but seed, method and n.
func Chaos(seed uint64, odds Odds) Plan {
	if odds.LateWithin == 0 {
		odds.LateWithin = 8
	}
	if odds.CutWithin == 0 {
		odds.CutWithin = 4
	}
	if odds.DelayWithin == 0 {
		odds.DelayWithin = time.Millisecond
	}
	return func(c Call) Fault {
		h := fnv.New64a()
		h.Write([]byte(c.Method))
		r := rand.New(rand.NewPCG(seed, h.Sum64()+uint64(c.N)))
		switch c.Method {
		case "Write", "Move":
			return odds.delay(r, odds.write(r))
		case "Tail":
			return odds.delay(r, pick(r, chance{odds.Tail, Fault{Kind: Fail}}))
		case "Watch":
			return pick(r, chance{odds.Hide, Fault{Kind: Hide}}, chance{odds.Ahead, Fault{Kind: Ahead, N: 1 + r.IntN(3)}})
		}
		return pick(r, chance{odds.Cut, Fault{Kind: Fail, N: r.IntN(odds.CutWithin + 1)}})
	}
}

func (o Odds) write(r *rand.Rand) Fault {
	return pick(r,
		chance{o.Fail, Fault{Kind: Fail}},
		chance{o.Lose, Fault{Kind: Lose}},
		chance{o.Drop, Fault{Kind: Drop}},
		chance{o.Late, Fault{Kind: Late, N: 1 + r.IntN(o.LateWithin)}})
}

func (o Odds) delay(r *rand.Rand, f Fault) Fault {
	if r.Float64() >= o.Delay {
		return f
	}
	gate := make(chan struct{})
	time.AfterFunc(time.Duration(1+r.Int64N(int64(o.DelayWithin))), func() { close(gate) })
	if r.IntN(2) == 0 {
		f.Before = gate
	} else {
		f.After = gate
	}
	return f
}

type chance struct {
	p     float64
	fault Fault
}

// pick takes one of the chances, or none.
func pick(r *rand.Rand, list ...chance) Fault {
	x := r.Float64()
	for _, c := range list {
		if x < c.p {
			return c.fault
		}
		x -= c.p
	}
	return Fault{}
}
