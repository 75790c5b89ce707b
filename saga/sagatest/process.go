package sagatest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/outbox"
)

// A process lives, dies and is started anew until it is stopped.
type process struct {
	*World
	number int
	lives  int
	rand   *rand.Rand
}

// start starts the processes.
func (w *World) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	n := w.opts.Processes
	if w.seed == 0 {
		n = 1
	}
	for k := range n {
		p := w.process(k)
		work.Go(func() {
			for ctx.Err() == nil {
				p.live(ctx)
			}
		})
	}
	w.halt = func() { cancel(); work.Wait() }
}

// stop ends them in an orderly way.
func (w *World) stop() {
	if w.halt != nil {
		w.halt()
		w.halt = nil
	}
}

func (w *World) process(k int) *process {
	for len(w.processes) <= k {
		n := len(w.processes)
		w.processes = append(w.processes, &process{World: w, number: n, rand: rand.New(rand.NewPCG(w.seed, uint64(n)+2))})
	}
	return w.processes[k]
}

// live is one life.
func (p *process) live(ctx context.Context) {
	p.lives++
	name := fmt.Sprintf("p%d.%d", p.number, p.lives)
	ctx, die := context.WithCancel(ctx)
	defer die()
	faulty := drivertest.NewFaulty(p.store.Open(), p.plan(die))
	l, err := eventlog.Open(ctx, &gated{faulty, p.gate, name}, p.opts.Log)
	if err != nil {
		_ = faulty.Close()
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
		return
	}
	r := &outbox.Runner{Log: l, Handlers: p.handlers, Name: name, Grace: 100 * time.Millisecond, AtOnce: []int{-1, 64}[p.number%2]}
	if err := r.Run(ctx); err != nil && p.healthy() {
		p.Errorf("sagatest: %v", err)
	}
	_ = l.Close()
	faulty.Deliver(context.WithoutCancel(ctx)) // what was under way arrives when others are at work
}

// healthy reports whether an error cannot be one of ours.
func (p *process) healthy() bool { return p.seed == 0 }

// plan is what goes wrong in a life.
func (p *process) plan(die func()) drivertest.Plan {
	if p.seed == 0 {
		return nil
	}
	h := fnv.New64a()
	fmt.Fprint(h, p.seed, " ", p.number, " ", p.lives)
	chaos := drivertest.Chaos(h.Sum64(), p.opts.Odds)
	dead := false
	return func(c drivertest.Call) drivertest.Fault {
		calm := p.calm()
		if !dead && !calm && p.rand.Float64() < p.opts.Crash {
			dead = true
			die()
		}
		switch {
		case dead && c.Method == "Write":
			return drivertest.Fault{Kind: []drivertest.Kind{drivertest.Drop, drivertest.Lose, drivertest.Late}[p.rand.IntN(3)]}
		case dead:
			return drivertest.Fault{Kind: drivertest.Fail}
		case calm:
			return drivertest.Fault{}
		}
		return chaos(c)
	}
}
