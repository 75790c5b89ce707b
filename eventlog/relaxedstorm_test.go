package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestRelaxedStorm: processes append strictly and relaxed, and all of them fold all
// shards at will, as if every lease were stolen, over stores that fail, lose answers
// and deliver late; processes die and others come. In the end every acknowledged
// append is there once, every other one at most once, and those of a caller are in
// its order.
func TestRelaxedStorm(t *testing.T) {
	t.Parallel()
	seeds := uint64(20)
	if soaking() {
		seeds = 1000
	}
	for name, store := range stormStores {
		for seed := range seeds {
			t.Run(fmt.Sprint(name, " seed ", seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := &storm{t: t, seed: seed, open: store(t)}
					s.run()
				})
			})
		}
	}
}

// stormStores make stores that several processes open.
var stormStores = map[string]func(t *testing.T) func() driver.Log{
	"memlog": func(*testing.T) func() driver.Log {
		store := memlog.NewStore()
		return func() driver.Log { return store.Open() }
	},
}

type storm struct {
	t    *testing.T
	seed uint64
	open func() driver.Log

	mu    sync.Mutex
	tried map[string]bool     // texts of relaxed appends: whether they were acknowledged
	no    map[string]error    // those that were refused, and left nothing
	order map[string][]string // of each caller, what was acknowledged
	dead  []*stormProcess
}

// A stormProcess is a log over a faulty store, with those who use it.
type stormProcess struct {
	log    *eventlog.Log
	faults *drivertest.Faulty
	work   sync.WaitGroup
	end    context.CancelFunc
}

const (
	stormShards  = 2
	stormStreams = 5
)

func (s *storm) run() {
	s.tried, s.order, s.no = make(map[string]bool), make(map[string][]string), make(map[string]error)
	r := rand.New(rand.NewPCG(s.seed, 0))
	var live []*stormProcess
	for n := range 6 {
		live = append(live, s.start(n))
		time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
		if len(live) > 3 || n == 5 {
			s.kill(live[0])
			live = live[1:]
		}
	}
	time.Sleep(500 * time.Millisecond)
	for _, p := range live {
		p.faults.Inject(nil)
	}
	for _, p := range live {
		p.work.Wait()
	}
	for _, p := range append(s.dead, live...) {
		p.work.Wait()
		p.faults.Deliver(context.Background())
		p.faults.Inject(nil)
	}
	if s.seed%2 == 0 { // what the dead ones still repeat arrives, or never does
		for _, p := range s.dead {
			p.log.Close()
		}
	}
	s.check()
	for _, p := range append(s.dead, live...) {
		p.faults.Deliver(context.Background())
		p.log.Close()
	}
	s.check()
}

// start begins a process: appenders, each one after the other, and those who fold.
func (s *storm) start(n int) *stormProcess {
	p := &stormProcess{faults: drivertest.NewFaulty(s.open(), nil)}
	o := eventlog.Options{Shards: stormShards, FoldAfter: -1, MaxSkew: time.Minute}
	if s.seed%3 == 0 {
		o.FoldAfter = 50 * time.Millisecond
	}
	skew := time.Duration(n%3-1) * 20 * time.Millisecond
	eventlog.SetNow(&o, func() time.Time { return time.Now().Add(skew) })
	l, err := eventlog.Open(context.Background(), p.faults, &o)
	if err != nil {
		s.t.Fatal(err)
	}
	p.log = l
	p.faults.Inject(drivertest.Chaos(s.seed*100+uint64(n), drivertest.Even))
	ctx, end := context.WithCancel(context.Background())
	p.end = end
	for c := range 4 {
		p.work.Go(func() { s.append(ctx, p, fmt.Sprintf("p%dc%d", n, c), rand.New(rand.NewPCG(s.seed, uint64(100*n+c)))) })
	}
	for f := range 2 {
		p.work.Go(func() { s.fold(ctx, p, rand.New(rand.NewPCG(s.seed, uint64(10000+100*n+f)))) })
	}
	return p
}

// kill ends a process in the midst of what it does: from now on nothing of it
// reaches the store, but what was under way.
func (s *storm) kill(p *stormProcess) {
	p.faults.Inject(func(c drivertest.Call) drivertest.Fault {
		return drivertest.Fault{Kind: drivertest.Fail, Err: driver.ErrUnknown}
	})
	p.end()
	s.dead = append(s.dead, p)
}

// append appends to one stream, now and then strictly, and some with an id that it
// uses again when the outcome is not known.
func (s *storm) append(ctx context.Context, p *stormProcess, caller string, r *rand.Rand) {
	stream := fmt.Sprint("s/", r.IntN(stormStreams))
	for i := range 25 {
		text := fmt.Sprintf("%s.%d", caller, i)
		o := &eventlog.AppendOptions{Relaxed: r.IntN(6) > 0}
		if r.IntN(3) == 0 {
			o.ID = text
		}
		s.mu.Lock()
		s.tried[text] = false
		s.mu.Unlock()
		var err error
		doubt := false
		for range 3 {
			short, cancel := context.WithTimeout(ctx, time.Duration(20+r.IntN(400))*time.Millisecond)
			_, err = p.log.Append(short, stream, o, entry{text})
			cancel()
			doubt = doubt || errors.Is(err, eventlog.ErrUnknown)
			if err == nil || o.ID == "" {
				break
			}
		}
		if err != nil && !doubt {
			s.mu.Lock()
			s.no[text] = err
			s.mu.Unlock()
		}
		if err == nil {
			s.mu.Lock()
			s.tried[text] = true
			if o.Relaxed {
				s.order[caller] = append(s.order[caller], text)
			}
			s.mu.Unlock()
		}
		if ctx.Err() != nil {
			return
		}
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
	}
}

func (s *storm) fold(ctx context.Context, p *stormProcess, r *rand.Rand) {
	for range 60 {
		short, cancel := context.WithTimeout(ctx, time.Duration(1+r.IntN(100))*time.Millisecond)
		_, _ = p.log.FoldShard(short, r.IntN(stormShards)) // it may fail, or be given up on the way
		cancel()
		if ctx.Err() != nil {
			return
		}
		time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
	}
}

// check folds what is left and looks at what came of everything.
func (s *storm) check() {
	s.t.Helper()
	l := over(s.t, s.open(), &eventlog.Options{FoldAfter: -1})
	before := make(map[int][]string)
	for shard := range stormShards {
		before[shard] = places(collect(s.t, l.Read(context.Background(), eventlog.Query{Shards: []int{shard}, Timeline: true})))
	}
	fold(s.t, l)
	count := make(map[string]int)
	byCaller := make(map[string][]string)
	for _, rec := range collect(s.t, l.Read(context.Background(), eventlog.Query{})) {
		got := text(s.t, rec)
		if count[got]++; count[got] > 1 {
			s.t.Errorf("seed %d: %s stands twice", s.seed, got)
		}
		caller, _, _ := strings.Cut(got, ".")
		byCaller[caller] = append(byCaller[caller], got)
	}
	acknowledged := 0
	for text, ok := range s.tried {
		if acknowledged++; ok && count[text] != 1 {
			s.t.Errorf("seed %d: %s was acknowledged and stands %d times", s.seed, text, count[text])
		}
	}
	for text, err := range s.no {
		if count[text] != 0 {
			s.t.Errorf("seed %d: %s was refused (%v) and stands in the log", s.seed, text, err)
		}
	}
	if acknowledged < 100 {
		s.t.Errorf("seed %d: only %d appends", s.seed, acknowledged)
	}
	for caller, want := range s.order {
		got := slices.DeleteFunc(byCaller[caller], func(t string) bool { return !slices.Contains(want, t) })
		if !slices.Equal(got, want) {
			s.t.Errorf("seed %d: %s appended %v, which are folded as %v", s.seed, caller, want, got)
		}
	}
	if err := eventlog.Check(context.Background(), l); err != nil {
		s.t.Errorf("seed %d: %v", s.seed, err)
	}
	for shard := range stormShards {
		list := collect(s.t, l.Read(context.Background(), eventlog.Query{Shards: []int{shard}, Timeline: true}))
		if !slices.IsSortedFunc(list, comparePlaces) {
			s.t.Errorf("seed %d: the timeline of shard %d is not sorted", s.seed, shard)
		}
		after := places(list)
		kept := slices.DeleteFunc(before[shard], func(p string) bool { return !slices.Contains(after, p) })
		if len(list) != len(collect(s.t, l.Read(context.Background(), eventlog.Query{Shards: []int{shard}}))) || !slices.Equal(kept, after) {
			s.t.Errorf("seed %d: the timeline of shard %d changed by a fold:\n%v\n%v", s.seed, shard, kept, after)
		}
	}
}

// places are the ids of records, which name their places in a timeline.
func places(list []eventlog.Record) (ids []string) {
	for _, r := range list {
		ids = append(ids, r.ID.String())
	}
	return ids
}
