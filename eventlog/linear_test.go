package eventlog_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/eventlog/pebblelog"
	"github.com/rollforward/rollforward/eventlog/remotelog"
)

var linearSeed = flag.Uint64("linear.seed", 0, "the one seed to run the histories with")

// TestUpdateIsStrictlySerializable takes histories of concurrent Updates,
// conditional appends, views and refusals over several streams and shards (hot
// ones too), from several processes on one store that fails, loses answers and
// delivers writes late, and asks porcupine whether one order explains what
// everybody saw.
func TestUpdateIsStrictlySerializable(t *testing.T) {
	seeds := 20
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		seeds = 1000
	}
	if testing.Short() {
		seeds = 5
	}
	for seed := range uint64(seeds) {
		if *linearSeed != 0 && seed != *linearSeed {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, seed)
			h.run()
			h.judge()
		})
	}
}

const (
	linearStreams = 5
	linearCells   = 2
	linearKeys    = linearStreams + linearCells
)

// A linearState is what every key holds: of a stream the ids of its events, of a
// cell the id that was put last.
type linearState [linearKeys]string

type linearInput struct {
	reads  []int  // keys whose content the operation reports
	expect int    // conditional append: the version that keys[0] must have; -1: none
	writes []int  // keys that get id
	id     string //
}

type linearOutput struct {
	unknown bool
	refused bool // the expected version was another
	saw     []string
}

func linearStep(state linearState, in linearInput, out linearOutput) []linearState {
	next := state
	for _, k := range in.writes {
		if k < linearStreams {
			next[k] += in.id + " "
		} else {
			next[k] = in.id
		}
	}
	fits := in.expect < 0 || strings.Count(state[in.writes[0]], " ") == in.expect
	switch {
	case out.unknown && fits:
		return []linearState{state, next}
	case out.unknown, out.refused && !fits:
		return []linearState{state}
	case out.refused, !fits:
		return nil
	}
	for i, k := range in.reads {
		if out.saw[i] != state[k] {
			return nil
		}
	}
	return []linearState{next}
}

var linearModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{linearState{}} },
	Step: func(state, in, out any) (next []any) {
		for _, s := range linearStep(state.(linearState), in.(linearInput), out.(linearOutput)) {
			next = append(next, s)
		}
		return next
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
}).ToModel()

// TestSharedIsStrictlySerializable takes such histories from processes that share a
// directory. The one that owns it goes away in the middle.
func TestSharedIsStrictlySerializable(t *testing.T) {
	t.Parallel()
	seeds := 6
	if os.Getenv("ROLLFORWARD_SOAK") != "" {
		seeds = 300
	}
	for seed := range uint64(seeds) {
		if *linearSeed != 0 && seed != *linearSeed {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open := func() driver.Log {
				d, err := remotelog.Open(context.Background(), dir, &remotelog.Options{Store: pebblelog.Options{MemTableSize: 1 << 20, Reserve: -1}})
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			owner := open()
			h := newHistoryOn(t, seed, 3, open)
			h.halfway = func() {
				if err := owner.Close(); err != nil {
					t.Error(err)
				}
			}
			h.run()
			h.judge()
		})
	}
}

// history runs clients and notes what they saw.
type history struct {
	t       *testing.T
	seed    uint64
	open    func() driver.Log // another handle of the store
	halfway func()            // called once in the middle
	logs    []*eventlog.Log
	fault   []*drivertest.Faulty
	names   [linearStreams]string

	mu   sync.Mutex
	ops  []porcupine.Operation
	none map[string]bool // ids of operations that left nothing
}

func newHistory(t *testing.T, seed uint64) *history {
	store := memlog.NewStore()
	return newHistoryOn(t, seed, 1+int(seed%3), func() driver.Log { return store.Open() })
}

// newHistoryOn has so many processes.
func newHistoryOn(t *testing.T, seed uint64, processes int, open func() driver.Log) *history {
	h := &history{t: t, seed: seed, open: open, halfway: func() {}, none: make(map[string]bool)}
	rng := rand.New(rand.NewPCG(seed, 0))
	odds := drivertest.Odds{}
	if seed%4 != 0 {
		odds = drivertest.Even
		odds.DelayWithin = 200 * time.Microsecond
	}
	for i := range h.names {
		h.names[i] = fmt.Sprintf("s/%d-%d", i, rng.IntN(1000))
		if i == 1 && seed%2 == 0 {
			h.names[i] = fmt.Sprintf("s/{%s}", h.names[0]) // two streams of one shard
		}
	}
	for p := range processes {
		f := drivertest.NewFaulty(h.open(), nil)
		l, err := eventlog.Open(t.Context(), f, &eventlog.Options{Shards: 3})
		if err != nil {
			t.Fatal(err)
		}
		f.Inject(drivertest.Chaos(seed*10+uint64(p), odds))
		t.Cleanup(func() { _ = l.Close() })
		h.logs, h.fault = append(h.logs, l), append(h.fault, f)
	}
	return h
}

func (h *history) run() {
	var wg sync.WaitGroup
	for client := range 6 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(h.seed, uint64(client)+1))
			for n := range 12 {
				id := fmt.Sprintf("%d.%d", client, n)
				if client == 0 && n == 6 {
					h.halfway()
				}
				h.operate(h.logs[client%len(h.logs)], rng, client, id)
			}
		})
	}
	wg.Wait()
}

// operate does one random operation.
func (h *history) operate(l *eventlog.Log, rng *rand.Rand, client int, id string) {
	keys := rng.Perm(linearKeys)
	in := linearInput{expect: -1, id: id}
	if rng.IntN(2) == 0 {
		keys = slices.DeleteFunc(keys, func(k int) bool { return k > 1 && k < linearStreams }) // hot
	}
	kind := rng.IntN(6)
	switch kind {
	case 0: // blind append
		in.writes = []int{rng.IntN(linearStreams)}
	case 1: // conditional append
		in.writes, in.expect = []int{rng.IntN(2)}, rng.IntN(6)
	case 2, 3: // read and write
		in.reads, in.writes = keys[:1+rng.IntN(3)], keys[:1+rng.IntN(2)]
	case 4: // refusal or read-only update
		in.reads = keys[:1+rng.IntN(3)]
	case 5: // view
		in.reads = keys[:1+rng.IntN(3)]
	}
	// An Update that was asked to write but ends with an error must leave nothing.
	ctx := context.Background()
	if rng.IntN(10) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(500))*time.Microsecond)
		defer cancel()
	}
	refuse := kind == 4 && rng.IntN(2) == 0
	call := time.Now().UnixNano()
	out, err := h.do(ctx, l, in, kind == 5, refuse)
	done := time.Now().UnixNano()

	h.mu.Lock()
	defer h.mu.Unlock()
	var version *eventlog.VersionError
	switch {
	case err == nil:
	case errors.As(err, &version):
		out.refused = true
	case errors.Is(err, eventlog.ErrUnknown):
		out.unknown, done = true, 1<<62
	default: // a definite error leaves nothing
		h.none[id] = true
		return
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: done})
}

var errRefused = errors.New("refused")

func (h *history) do(ctx context.Context, l *eventlog.Log, in linearInput, view, refuse bool) (out linearOutput, err error) {
	if in.expect >= 0 {
		_, err := l.Append(ctx, h.names[in.writes[0]], &eventlog.AppendOptions{Expect: eventlog.Exactly(uint64(in.expect))}, noted{in.id})
		return out, err
	}
	if view {
		err := l.View(ctx, func(tx *eventlog.Tx) (err error) {
			out.saw, err = h.see(tx, in.reads)
			return err
		})
		return out, err
	}
	_, err = l.Update(ctx, func(tx *eventlog.Tx) (err error) {
		if out.saw, err = h.see(tx, in.reads); err != nil {
			return err
		}
		for _, k := range in.writes {
			if err := h.put(tx, k, in.id); err != nil {
				return err
			}
		}
		if refuse {
			if err := h.put(tx, 0, in.id+"!"); err != nil {
				return err
			}
			return errRefused
		}
		return nil
	})
	if refuse && err == errRefused {
		err = nil
	}
	return out, err
}

var linearTable = eventlog.Table[string]{Name: "linear"}

var linearModelOf = eventlog.Model[seen]{Name: "seen", Folds: eventlog.Folds[seen]{
	eventlog.On(func(s *seen, e noted) { s.IDs += e.ID + " " }),
}}

type seen struct{ IDs string }
type noted struct{ ID string }

func (noted) EventType() string { return "test.noted" }

// see reads keys in several ways.
func (h *history) see(tx *eventlog.Tx, keys []int) (saw []string, err error) {
	for i, k := range keys {
		switch {
		case k >= linearStreams:
			v, _, err := linearTable.Get(tx, fmt.Sprint(k))
			if err != nil {
				return nil, err
			}
			saw = append(saw, v)
		case i%2 == 0:
			s, err := linearModelOf.Load(tx, h.names[k])
			if err != nil {
				return nil, err
			}
			saw = append(saw, s.IDs)
		default:
			var s seen
			if err := linearModelOf.Fold(&s, tx.Read(eventlog.Query{Stream: h.names[k]})); err != nil {
				return nil, err
			}
			saw = append(saw, s.IDs)
		}
	}
	return saw, nil
}

func (h *history) put(tx *eventlog.Tx, key int, id string) error {
	if key >= linearStreams {
		return linearTable.Put(tx, fmt.Sprint(key), id)
	}
	return tx.Append(h.names[key], noted{id})
}

// judge delivers what is still under way, reads everything once more, and asks
// porcupine.
func (h *history) judge() {
	h.t.Helper()
	for _, f := range h.fault {
		f.Inject(nil)
	}
	for _, l := range h.logs {
		if err := l.Close(); err != nil {
			h.t.Error(err)
		}
	}
	l, err := eventlog.Open(context.Background(), h.open(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	all := make([]int, linearKeys)
	for k := range all {
		all[k] = k
	}
	in := linearInput{reads: all, expect: -1}
	out, err := h.do(context.Background(), l, in, true, false)
	if err != nil {
		h.t.Fatal(err)
	}
	h.ops = append(h.ops, porcupine.Operation{Input: in, Output: out, Call: 1<<62 + 1, Return: 1<<62 + 2})
	for id := range h.none {
		for k, s := range out.saw {
			if slices.Contains(strings.Fields(s), id) {
				h.t.Errorf("seed %d: operation %s was refused and left its mark in key %d: %q", h.seed, id, k, s)
			}
		}
	}
	if err := eventlog.Check(context.Background(), l); err != nil {
		h.t.Error(err)
	}
	switch result := porcupine.CheckOperationsTimeout(linearModel, h.ops, 20*time.Second); result {
	case porcupine.Ok:
		linearOps.Add(int64(len(h.ops)))
	case porcupine.Unknown:
		h.t.Logf("seed %d: porcupine gave up on %d operations", h.seed, len(h.ops))
	default:
		h.t.Errorf("seed %d: no order explains this history of %d operations:", h.seed, len(h.ops))
		slices.SortFunc(h.ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, op := range h.ops {
			h.t.Logf("%d [%d %d] %s", op.ClientId, op.Call%1e10, op.Return%1e10, linearModel.DescribeOperation(op.Input, op.Output))
		}
	}
}

var linearOps atomic.Int64

var _ driver.Log = (*drivertest.Faulty)(nil)
