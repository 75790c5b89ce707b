package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/rollforward/rollforward/eventlog"
)

// A World is several processes on one log.
type World struct {
	Seed    uint64
	Logs    []*eventlog.Log // of the processes, with 3 shards; Run closes them
	Clients int             // 6
	Ops     int             // of each client: 12
	// Halfway, if not nil, is called when the first client is in the middle of its operations.
	Halfway func()
	// Calm is called when all clients are done, before the logs are closed: it ends
	// the faults.
	Calm func()
	// Again opens the log once more.
	Again func(ctx context.Context) (*eventlog.Log, error)
}

// Run takes a history of random operations and judges it. It returns how many
// operations porcupine found an order for.
func Run(t testing.TB, w World) int {
	if w.Clients == 0 {
		w.Clients = 6
	}
	if w.Ops == 0 {
		w.Ops = 12
	}
	h := &history{t: t, World: w, none: make(map[string]bool)}
	rng := rand.New(rand.NewPCG(w.Seed, 0))
	for i := range h.names {
		h.names[i] = fmt.Sprintf("s/%d-%d", i, rng.IntN(1000))
		if i == 1 && w.Seed%2 == 0 {
			h.names[i] = fmt.Sprintf("s/{%s}", h.names[0]) // two streams of one shard
		}
	}
	h.run()
	return h.judge()
}

const (
	streams = 5
	cells   = 2
	keys    = streams + cells
)

// A state is what every key holds: of a stream the ids of its events, of a
// cell the id that was put last.
type state [keys]string

type input struct {
	reads  []int  // keys whose content the operation reports
	expect int    // conditional append: the version that keys[0] must have; -1: none
	writes []int  // keys that get id
	id     string //
}

type output struct {
	unknown bool
	refused bool // the expected version was another
	saw     []string
}

func step(now state, in input, out output) []state {
	next := now
	for _, k := range in.writes {
		if k < streams {
			next[k] += in.id + " "
		} else {
			next[k] = in.id
		}
	}
	fits := in.expect < 0 || strings.Count(now[in.writes[0]], " ") == in.expect
	switch {
	case out.unknown && fits:
		return []state{now, next}
	case out.unknown, out.refused && !fits:
		return []state{now}
	case out.refused, !fits:
		return nil
	}
	for i, k := range in.reads {
		if out.saw[i] != now[k] {
			return nil
		}
	}
	return []state{next}
}

var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{state{}} },
	Step: func(now, in, out any) (next []any) {
		for _, s := range step(now.(state), in.(input), out.(output)) {
			next = append(next, s)
		}
		return next
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
}).ToModel()

// history runs clients and notes what they saw.
type history struct {
	World
	t     testing.TB
	names [streams]string

	mu   sync.Mutex
	ops  []porcupine.Operation
	none map[string]bool // ids of operations that left nothing
}

func (h *history) run() {
	var wg sync.WaitGroup
	for client := range h.Clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(h.Seed, uint64(client)+1))
			for n := range h.Ops {
				id := fmt.Sprintf("%d.%d", client, n)
				if client == 0 && n == h.Ops/2 && h.Halfway != nil {
					h.Halfway()
				}
				h.operate(h.Logs[client%len(h.Logs)], rng, client, id)
			}
		})
	}
	wg.Wait()
}

// operate does one random operation.
func (h *history) operate(l *eventlog.Log, rng *rand.Rand, client int, id string) {
	keys := rng.Perm(keys)
	in := input{expect: -1, id: id}
	if rng.IntN(2) == 0 {
		keys = slices.DeleteFunc(keys, func(k int) bool { return k > 1 && k < streams }) // hot
	}
	kind := rng.IntN(6)
	switch kind {
	case 0: // blind append
		in.writes = []int{rng.IntN(streams)}
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

func (h *history) do(ctx context.Context, l *eventlog.Log, in input, view, refuse bool) (out output, err error) {
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

var table = eventlog.Table[string]{Name: "linear"}

var seenModel = eventlog.Model[seen]{Name: "seen", Folds: eventlog.Folds[seen]{
	eventlog.On(func(s *seen, e noted) { s.IDs += e.ID + " " }),
}}

type seen struct{ IDs string }
type noted struct{ ID string }

func (noted) EventType() string { return "test.noted" }

// see reads keys in several ways.
func (h *history) see(tx *eventlog.Tx, keys []int) (saw []string, err error) {
	for i, k := range keys {
		switch {
		case k >= streams:
			v, _, err := table.Get(tx, fmt.Sprint(k))
			if err != nil {
				return nil, err
			}
			saw = append(saw, v)
		case i%2 == 0:
			s, err := seenModel.Load(tx, h.names[k])
			if err != nil {
				return nil, err
			}
			saw = append(saw, s.IDs)
		default:
			var s seen
			if err := seenModel.Fold(&s, tx.Read(eventlog.Query{Stream: h.names[k]})); err != nil {
				return nil, err
			}
			saw = append(saw, s.IDs)
		}
	}
	return saw, nil
}

func (h *history) put(tx *eventlog.Tx, key int, id string) error {
	if key >= streams {
		return table.Put(tx, fmt.Sprint(key), id)
	}
	return tx.Append(h.names[key], noted{id})
}

// judge reads everything once more, and asks porcupine.
func (h *history) judge() int {
	h.t.Helper()
	h.Calm()
	for _, l := range h.Logs {
		if err := l.Close(); err != nil {
			h.t.Error(err)
		}
	}
	l, err := h.Again(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	all := make([]int, keys)
	for k := range all {
		all[k] = k
	}
	in := input{reads: all, expect: -1}
	out, err := h.do(context.Background(), l, in, true, false)
	if err != nil {
		h.t.Fatal(err)
	}
	h.ops = append(h.ops, porcupine.Operation{Input: in, Output: out, Call: 1<<62 + 1, Return: 1<<62 + 2})
	for id := range h.none {
		for k, s := range out.saw {
			if slices.Contains(strings.Fields(s), id) {
				h.t.Errorf("seed %d: operation %s was refused and left its mark in key %d: %q", h.Seed, id, k, s)
			}
		}
	}
	if err := eventlog.Check(context.Background(), l); err != nil {
		h.t.Error(err)
	}
	switch result := porcupine.CheckOperationsTimeout(model, h.ops, 20*time.Second); result {
	case porcupine.Ok:
		return len(h.ops)
	case porcupine.Unknown:
		h.t.Logf("seed %d: porcupine gave up on %d operations", h.Seed, len(h.ops))
	default:
		h.t.Errorf("seed %d: no order explains this history of %d operations:", h.Seed, len(h.ops))
		slices.SortFunc(h.ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		for _, op := range h.ops {
			h.t.Logf("%d [%d %d] %s", op.ClientId, op.Call%1e10, op.Return%1e10, model.DescribeOperation(op.Input, op.Output))
		}
	}
	return 0
}
