package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/lease"
)

// An engine is a Runner at work. All its state belongs to the one goroutine of
// its loop; what talks to the store is done by others (do), who hand in what
// follows from it.
type engine struct {
	options
	handlers handlers
	keeper   *lease.Keeper
	queues   *queues
	lead     *lead
	sources  []*source // by shard, nil: not ours
	bells    *bells
	inbox    chan func()
	ended    chan struct{}
	work     context.Context // of what is done; outlives the run by Grace

	few    int       // how much a batch does at once at present
	shy    time.Time // until then nothing
	jammed bool      // something waits because others do things at once

	doing    int // goroutines at work
	busy     int // batches under way, Effects apart
	effects  int
	slow     map[*batch]time.Time // batches of several targets, and since when
	ticking  bool
	looked   bool // a tick has ended
	begun    time.Time
	sweep    time.Time // the next one
	swept    time.Time // when the last one ended well
	visits   time.Time // the next look at others' parked steps
	rolled   int       // outcomes and attempts that were written
	draining bool
	guests   bool // work on shards, too, that others hold
	fatal    error
	failed   error    // of the store, in a drain
	warned   sync.Map // of what; see once
}

type options struct {
	Log                       *eventlog.Log
	Name                      string
	Sweep, Lease, Grace       time.Duration
	Batch, Targets, ReadAhead int
	AtOnce                    int
	Logger                    *slog.Logger
	Hooks                     Hooks
}

func (r *Runner) engine() (*engine, error) {
	if r.Log == nil {
		return nil, errors.New("a Runner needs a Log")
	}
	e := &engine{handlers: make(handlers), inbox: make(chan func(), 64), ended: make(chan struct{}), slow: make(map[*batch]time.Time), lead: newLead()}
	e.options = options{r.Log, r.Name, r.Sweep, r.Lease, r.Grace, r.Batch, r.Targets, r.ReadAhead, r.AtOnce, r.Logger, r.Hooks}
	for i := range r.Handlers {
		h := r.Handlers[i]
		if err := h.check(); err != nil {
			return nil, fmt.Errorf("handler %d (%q): %w", i, h.Type, err)
		}
		if e.handlers[h.Type] != nil {
			return nil, fmt.Errorf("two handlers for step type %q", h.Type)
		}
		e.handlers[h.Type] = &h
	}
	if err := e.options.fill(); err != nil {
		return nil, err
	}
	e.few = e.AtOnce
	n := e.Log.Shards()
	e.queues, e.sources, e.bells = newQueues(n), make([]*source, n), newBells(n)
	e.keeper = &lease.Keeper{Log: e.Log, Prefix: leasePrefix, Count: n, Duration: e.Lease, Name: e.Name, Fence: e.fence}
	return e, e.keeper.Check()
}

const leasePrefix = "$steps"

// fill puts the defaults in and refuses what makes no sense.
func (o *options) fill() error {
	if o.Sweep == 0 && o.Lease > 0 {
		o.Sweep = min(time.Second, o.Lease/leaseSweeps)
	}
	if o.Lease == 0 && o.Sweep >= 0 {
		o.Lease = max(6*time.Second, leaseSweeps*o.Sweep)
	}
	for _, d := range []struct {
		name             string
		value            *time.Duration
		def, least, most time.Duration
	}{
		{"Sweep", &o.Sweep, time.Second, time.Millisecond, time.Hour},
		{"Lease", &o.Lease, 0, leaseSweeps * o.Sweep, 24 * time.Hour},
		{"Grace", &o.Grace, 5 * time.Second, time.Millisecond, time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < d.least || *d.value > d.most {
			return fmt.Errorf("option %s is %v: %v to %v", d.name, *d.value, d.least, d.most)
		}
	}
	for _, n := range []struct {
		name             string
		value            *int
		def, least, most int
	}{
		{"Batch", &o.Batch, 128, 1, 10_000},
		{"Targets", &o.Targets, 16, 1, 10_000},
		{"ReadAhead", &o.ReadAhead, 4096, 8, 1_000_000},
	} {
		if *n.value == 0 {
			*n.value = n.def
		}
		if *n.value < n.least || *n.value > n.most {
			return fmt.Errorf("option %s is %d: %d to %d", n.name, *n.value, n.least, n.most)
		}
	}
	if o.AtOnce == 0 && o.Log.Exclusive() {
		o.AtOnce = 8 * o.Batch
	}
	if o.AtOnce < -1 || o.AtOnce > 100_000 {
		return fmt.Errorf("option AtOnce is %d: -1 to 100000", o.AtOnce)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// leaseSweeps: how many sweeps a lease lasts at least, so that one that is late
// costs nothing.
const leaseSweeps = 6

// fence puts the new epoch into a shard's cursor, so that the holder before can
// move it no more.
func (e *engine) fence(ctx context.Context, shard int, epoch uint64) ([]driver.CellOp, error) {
	value, version, err := e.Log.ReadCell(ctx, cursorKey(shard))
	if err != nil {
		return nil, err
	}
	m := decodeMark(value)
	m.Epoch = epoch
	return []driver.CellOp{{Op: driver.Put, If: &version, Cell: driver.Cell{Key: cursorKey(shard), Value: m.encode()}}}, nil
}

// do has f done beside the loop, and what f returns in it.
func (e *engine) do(f func(ctx context.Context) func()) {
	e.doing++
	go func() {
		then := f(e.work)
		e.inbox <- func() {
			e.doing--
			then()
		}
	}()
}

// trouble takes note of an error of the store. Some end the run: going on would
// not help, and a human must know.
func (e *engine) trouble(what string, shard int, err error) {
	if e.work.Err() != nil {
		return
	}
	if lease.Fatal(err) && e.fatal == nil {
		e.fatal = fmt.Errorf("shard %d: %s: %w", shard, what, err)
	}
	e.failed = err
	e.Hooks.trouble(shard, err)
	e.Logger.Error(what, "shard", shard, "err", err)
}

// faults says how to go on after errors of the store.
var faults = Policy{Backoff: 20 * time.Millisecond, MaxBackoff: 5 * time.Second}

// tick sees to the leases.
func (e *engine) tick() {
	e.ticking = true
	e.do(func(ctx context.Context) func() {
		err := e.keeper.Tick(ctx)
		return func() {
			e.ticking, e.looked = false, true
			if err != nil {
				e.trouble("the leases of the shards cannot be kept", -1, err)
			} else {
				e.swept = time.Now()
			}
			e.own()
			e.Hooks.sweep(e.sweepInfo())
		}
	})
}

// own brings the sources in line with the leases.
func (e *engine) own() {
	held := make([]uint64, len(e.sources))
	for _, l := range e.keeper.Held() {
		held[l.Index] = l.Epoch
	}
	for shard, s := range e.sources {
		mine := held[shard] != 0
		if s != nil && !s.guest && (s.lost || !mine || s.epoch != held[shard]) {
			e.lose(s)
			s = nil
		}
		if s != nil && s.guest && mine { // it is given up; what runs does no harm
			e.lose(s)
			s = nil
		}
		if s == nil && (mine || e.guests) {
			s = newSource(e, shard)
			s.epoch, s.guest = held[shard], !mine
			e.sources[shard] = s
		}
	}
	for _, shard := range e.keeper.Surplus() {
		if s := e.sources[shard]; s != nil && !s.guest && !s.leaving {
			s.leaving, s.until = true, time.Now().Add(e.Grace)
		}
	}
}

// lose drops a source: its shard is in other hands.
func (e *engine) lose(s *source) {
	s.lost = true
	if e.sources[s.shard] == s {
		e.sources[s.shard] = nil
	}
	e.dropItems(s)
	e.Hooks.shard(ShardInfo{Shard: s.shard})
}

// dropItems takes what is queued of a source, and not under way, out of hand.
func (e *engine) dropItems(s *source) {
	for target := range e.queues.byTarget {
		for _, it := range e.queues.remove(target, func(it *item) bool { return it.src == s }) {
			s.release(it)
		}
	}
}

// giveBack lets a shard go whose work in hand is done and saved.
func (e *engine) giveBack(s *source) {
	e.lose(s)
	e.do(func(ctx context.Context) func() {
		err := e.keeper.GiveBack(ctx, s.shard)
		return func() {
			if err != nil {
				e.trouble("the lease of a shard cannot be given back", s.shard, err)
			}
		}
	})
}
