package sagatest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/jitter"
	"github.com/rollforward/rollforward/outbox"
)

// Options of Run. nil and zero values are the documented defaults.
type Options struct {
	// Seeds is how many runs with faults there are: 0 is 10, -1 is none.
	Seeds int
	// Seed, if not 0, is the only run.
	Seed uint64
	// Processes is how many processes work on the log at a time (2).
	Processes int
	// Odds of the faults of the store. The zero Odds are drivertest.Even.
	Odds drivertest.Odds
	// Crash is the probability that a process dies at a call of the store, and is
	// started anew (0.02); negative: never.
	Crash float64
	// Repeat and Delay are the probabilities that a message of a saga comes twice,
	// and that it is late (0.1 each); negative: never.
	Repeat, Delay float64
	// Jump is by how much the clock may jump ahead between two parts of the scenario,
	// with nobody at work meanwhile. 0: it does not, because then what the scenario
	// expects depends on no time but its own.
	Jump time.Duration
	// Log has the codecs and upcasts that the events need. Its Shards are 4 by default.
	Log *eventlog.Options

	trail func(call string) // tests: gets the calls of the store
}

func (o *Options) fill() (Options, error) {
	out := Options{}
	if o != nil {
		out = *o
	}
	for _, p := range []struct {
		name  string
		value *float64
		def   float64
	}{{"Crash", &out.Crash, 0.02}, {"Repeat", &out.Repeat, 0.1}, {"Delay", &out.Delay, 0.1}} {
		if *p.value == 0 {
			*p.value = p.def
		}
		if *p.value > 0.5 {
			return out, fmt.Errorf("option %s is %v: up to 0.5", p.name, *p.value)
		}
	}
	if out.Seeds == 0 {
		out.Seeds = 10
	}
	if out.Processes == 0 {
		out.Processes = 2
	}
	if out.Odds == (drivertest.Odds{}) {
		out.Odds = drivertest.Even
	}
	if out.Processes < 1 || out.Processes > 16 || out.Seeds < -1 || out.Jump < 0 {
		return out, fmt.Errorf("options: Processes is %d (1 to 16), Seeds %d (-1 or more), Jump %v (0 or more)", out.Processes, out.Seeds, out.Jump)
	}
	log := eventlog.Options{}
	if out.Log != nil {
		log = *out.Log
	}
	if log.Shards == 0 {
		log.Shards = 4
	}
	out.Log = &log
	return out, nil
}

// Run runs a scenario without faults, and then with the faults of some seeds, each
// in a subtest: "plain", "seed=1" … . All of it happens in a bubble of testing/synctest: a
// scenario uses w.Context(), never the outer t's. handlers are those of the sagas (see
// saga.Saga.Handlers) and of whatever else takes part.
func Run(t *testing.T, handlers []outbox.Handler, o *Options, scenario func(w *World)) {
	t.Helper()
	opts, err := o.fill()
	if err != nil {
		t.Fatal("sagatest: ", err)
	}
	run := func(name string, seed uint64) {
		t.Run(name, func(t *testing.T) {
			t.Helper()
			synctest.Test(t, func(t *testing.T) { inWorld(t, handlers, opts, seed, scenario) })
			if t.Failed() {
				t.Logf("sagatest: to repeat it: go test -run '%s$'", t.Name())
			}
		})
	}
	if opts.Seed != 0 {
		run(fmt.Sprint("seed=", opts.Seed), opts.Seed)
		return
	}
	run("plain", 0)
	for seed := range uint64(max(opts.Seeds, 0)) {
		run(fmt.Sprint("seed=", seed+1), seed+1)
	}
}

// inWorld runs the scenario in a world of its own; seed 0 is the one without faults.
func inWorld(t testing.TB, handlers []outbox.Handler, o Options, seed uint64, scenario func(w *World)) {
	t.Helper()
	defer jitter.Fix()()
	w := &World{TB: t, opts: o, store: memlog.NewStore(), gate: newTurnstile(seed), seed: seed}
	w.trouble = newTrouble(w)
	w.handlers = w.trouble.wrap(handlers)
	w.gate.trail = o.trail
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go w.gate.run(ctx)
	w.open()
	defer w.close()
	w.start()
	scenario(w)
	w.Settle()
	w.stop()
	if err := eventlog.Check(context.Background(), w.log); err != nil {
		t.Errorf("the log is damaged: %v", err)
	}
}
