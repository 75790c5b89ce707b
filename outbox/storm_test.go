package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestAllKindsInAStorm: steps of all kinds, ordered, failing, dead and decided on,
// with times, of types that some runners do not know, or park, effects, chains, while
// processes come, sleep, crash and go over a slow store that does all kinds of
// wrong. In the end each has had its effect once, those of an ordered target in
// their order, nothing is left anywhere, and the numbers are true.
func TestAllKindsInAStorm(t *testing.T) {
	t.Parallel()
	for seed := range seeds(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { (&gale{T: t, store: memlog.NewStore(), r: rand.New(rand.NewPCG(seed, 3))}).run() })
		})
	}
}

// Job is a step of any kind.
type Job struct {
	Kind string
	To   string
	N    int
}

func (j Job) StepType() string { return "job." + j.Kind }
func (j Job) Target() string   { return j.To }

type gale struct {
	*testing.T
	store *memlog.Store

	mu    sync.Mutex
	r     *rand.Rand
	over  bool // nothing fails any more
	next  int
	fates map[int]error
	jobs  map[int]Job
	// discarded are those that may have been given up.
	discarded map[int]bool
}

func (g *gale) odds(n int) bool { return g.pick(100) < n }

func (g *gale) pick(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.r.IntN(n)
}

func (g *gale) fails() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch n := g.r.IntN(100); {
	case g.over:
	case n < 25:
		return errFail
	case n < 30:
		return outbox.Abort(errFail)
	case n < 33:
		panic(errFail)
	}
	return nil
}

// do is the handler of all kinds.
func (g *gale) do(tx *eventlog.Tx, s outbox.Raw) error {
	j, err := jobOf(s)
	if err == nil {
		err = tx.Append(j.To, Added{j.N})
	}
	if err == nil {
		err = g.fails()
	}
	if err == nil && j.Kind == "chain" {
		next := j
		next.Kind = "link"
		err = outbox.Enqueue(tx, next)
	}
	return err
}

func (g *gale) runner(l *eventlog.Log, all bool) *outbox.Runner {
	policy := outbox.Policy{Attempts: 3, Backoff: 200 * time.Millisecond, MaxBackoff: 5 * time.Second}
	strict := policy
	strict.Ordered = true
	hasty := policy
	hasty.Priority = 5
	handlers := []outbox.Handler{
		{Type: "job.plain", Do: g.do, Policy: policy}, {Type: "job.ordered", Do: g.do, Policy: strict},
		{Type: "job.chain", Do: g.do, Policy: policy}, {Type: "job.link", Do: g.do, Policy: policy},
		{Type: "job.hasty", Do: g.do, Policy: hasty},
		{Type: "job.effect", Policy: policy, Effect: func(_ context.Context, _ string, s outbox.Raw) (outbox.Step, error) {
			j, err := jobOf(s)
			j.Kind = "plain"
			return j, errors.Join(err, g.fails())
		}},
	}
	if all || g.odds(60) {
		handlers = append(handlers, outbox.Handler{Type: "job.new", Do: g.do, Policy: policy})
	}
	later := outbox.Handler{Type: "job.later/*", Do: g.do, Policy: strict}
	if !all && g.odds(50) {
		later.Do = func(tx *eventlog.Tx, s outbox.Raw) error {
			if g.odds(30) { // as if it had failed before it came to a newer version
				return g.do(tx, s)
			}
			return errors.Join(g.do(tx, s), outbox.Park(errNewer))
		}
	}
	handlers = append(handlers, later)
	return &outbox.Runner{Log: l, Handlers: handlers, Batch: 1 + g.pick(6), ReadAhead: 8 + g.pick(20), Sweep: 200 * time.Millisecond, Grace: 300 * time.Millisecond}
}

func (g *gale) run() {
	g.fates, g.jobs, g.discarded = make(map[int]error), make(map[int]Job), make(map[int]bool)
	for range 4 {
		var processes sync.WaitGroup
		for range 2 {
			processes.Go(g.process)
		}
		processes.Wait()
	}
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	l := openWith(g.T, g.store, single)
	r := g.runner(l, true)
	start(g.T, r)
	sleep(time.Minute)
	for range 5 {
		if len(dead(g.T, l)) == 0 {
			break
		}
		if _, err := outbox.Redrive(context.Background(), l, outbox.Filter{}, byAnn); err != nil {
			g.Error(err)
		}
		sleep(time.Minute)
	}
	if left := pending(g.T, l); len(left) != 0 {
		g.Errorf("%d pending: %+v", len(left), left[0])
	}
	if left := dead(g.T, l); len(left) != 0 {
		g.Errorf("%d dead: %+v", len(left), left[0])
	}
	if due, parked, stopped := waiting(g.T, r); due+parked+stopped != 0 {
		g.Errorf("%d wait, %d are parked, %d stopped, by the status", due, parked, stopped)
	}
	if n := cellsLeft(g.T, l); n != 0 {
		g.Errorf("%d cells are left", n)
	}
	g.judge(l)
}

// process is a process that comes, works, and goes or crashes.
func (g *gale) process() {
	faulty := drivertest.NewFaulty(slow{g.store.Open(), time.Duration(g.pick(30)) * time.Millisecond, time.Duration(g.pick(60)) * time.Millisecond}, nil)
	l, err := eventlog.Open(context.Background(), faulty, single)
	if err != nil {
		g.Error(err)
		return
	}
	if g.odds(70) {
		g.mu.Lock()
		faulty.Inject(drivertest.Chaos(g.r.Uint64(), drivertest.Odds{Fail: 0.03, Lose: 0.03, Drop: 0.03, Late: 0.03, Cut: 0.03}))
		g.mu.Unlock()
	}
	ctx, end := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := g.runner(l, false).Run(ctx); err != nil {
			g.Errorf("run: %v", err)
		}
	})
	work.Go(func() {
		for range 40 {
			g.enqueue(ctx, l)
			time.Sleep(time.Duration(g.pick(150)) * time.Millisecond)
		}
	})
	work.Go(func() {
		for range 4 {
			time.Sleep(time.Duration(g.pick(2500)) * time.Millisecond)
			g.decide(ctx, l)
		}
	})
	time.Sleep(time.Duration(g.pick(9000)) * time.Millisecond)
	if g.odds(60) { // it crashes
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" {
				return drivertest.Fault{Kind: drivertest.Drop}
			}
			return drivertest.Fault{Kind: drivertest.Fail}
		})
	}
	end()
	work.Wait()
	_ = l.Close()
	faulty.Deliver(context.Background())
}

// enqueue commits a few jobs, all from one place.
func (g *gale) enqueue(ctx context.Context, l *eventlog.Log) {
	var jobs []Job
	for range 1 + g.pick(4) {
		kind := []string{"plain", "ordered", "ordered", "ordered", "chain", "hasty", "effect", "new", "later/1", "later/2"}[g.pick(10)]
		to := fmt.Sprintf("%c/%s", 'a'+g.pick(2), kind)
		if kind == "ordered" || kind == "later/2" {
			to = fmt.Sprintf("a/o%d", g.pick(3))
		}
		g.mu.Lock()
		jobs = append(jobs, Job{kind, to, g.next})
		g.jobs[g.next] = jobs[len(jobs)-1]
		g.next++
		g.mu.Unlock()
	}
	timer := time.Duration(0)
	if g.odds(30) {
		timer = time.Duration(g.pick(4000)) * time.Millisecond
	}
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
		if err := tx.Append("home/1", Added{0}); err != nil {
			return err
		}
		for _, j := range jobs {
			var err error
			if timer > 0 && j.Kind != "ordered" {
				_, err = outbox.At(tx, time.Now().Add(timer), j)
			} else {
				err = outbox.Enqueue(tx, j)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, j := range jobs {
		g.fates[j.N] = err
	}
}

// decide redrives the dead letters, or gives some up.
func (g *gale) decide(ctx context.Context, l *eventlog.Log) {
	if g.odds(70) {
		_, _ = outbox.Redrive(ctx, l, outbox.Filter{}, byAnn)
		return
	}
	for i, err := range outbox.Dead(ctx, l) {
		j, bad := jobOf(outbox.Raw{Data: i.Data})
		if err != nil || bad != nil {
			return
		}
		g.mu.Lock()
		g.discarded[j.N] = true
		g.mu.Unlock()
		_, _ = outbox.Discard(ctx, l, outbox.Filter{ID: i.ID}, byAnn)
		return
	}
}

func (g *gale) judge(l *eventlog.Log) {
	times, place := make(map[int]int), g.places(l)
	seen := make(map[string]bool)
	for _, j := range g.jobs {
		if seen[j.To] {
			continue
		}
		seen[j.To] = true
		last := 0
		for _, n := range added(g.T, l, j.To) {
			times[n]++
			if g.jobs[n].Kind != "ordered" {
				continue
			}
			if place[n] <= last {
				g.Errorf("%s: %d, which stands at %d, behind one at %d", j.To, n, place[n], last)
			}
			last = place[n]
		}
	}
	acknowledged := 0
	for n, err := range g.fates {
		want := 1
		if g.jobs[n].Kind == "chain" {
			want = 2
		}
		got := times[n]
		switch {
		case err == nil:
			acknowledged++
			if got != want && !(g.discarded[n] && got < want) {
				g.Errorf("%+v was acknowledged and had its effect %d times, want %d", g.jobs[n], got, want)
			}
		case errors.Is(err, eventlog.ErrUnknown):
			if got != 0 && got != want && !(g.discarded[n] && got < want) {
				g.Errorf("%+v had its effect %d times, want none or %d", g.jobs[n], got, want)
			}
		case got != 0:
			g.Errorf("%+v was refused (%v) and had its effect %d times", g.jobs[n], err, got)
		}
	}
	if acknowledged < 100 {
		g.Errorf("only %d were acknowledged: the test shows little", acknowledged)
	}
}

func jobOf(s outbox.Raw) (j Job, err error) {
	err = json.Unmarshal(s.Data, &j)
	return j, err
}

// places returns where each job stands in its emitter's shard.
func (g *gale) places(l *eventlog.Log) map[int]int {
	places := make(map[int]int)
	for r, err := range l.Read(context.Background(), eventlog.Query{Stream: "$steps/0", Types: []string{"$step.enqueued"}}) {
		var s struct{ Data Job }
		if err == nil {
			err = json.Unmarshal(r.Data, &s)
		}
		if err != nil {
			g.Fatal(err)
		}
		places[s.Data.N] = int(r.Version)
	}
	return places
}
