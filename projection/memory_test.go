package projection_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sinktest"
)

// memory is a sink of counters in memory. A transaction changes a copy.
type memory struct {
	mu     sync.Mutex
	rows   map[string]int
	states map[string]projection.State
}

func newMemory() *memory {
	return &memory{rows: make(map[string]int), states: make(map[string]projection.State)}
}

func (m *memory) State(_ context.Context, name string) (projection.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.states[name]
	s.Checkpoints = slices.Clone(s.Checkpoints)
	return s, nil
}

func (m *memory) Apply(ctx context.Context, b projection.Batch, fn func(tx map[string]int) error) error {
	return m.update(ctx, b.Name, fn, func(s *projection.State) error {
		if s.Version != b.Version {
			return fmt.Errorf("%w: version %d", projection.ErrMoved, s.Version)
		}
		for _, mv := range b.Moves {
			if mv.To.Shard >= len(s.Checkpoints) || s.Checkpoints[mv.To.Shard].Revision != mv.From.Revision {
				return fmt.Errorf("%w: shard %d", projection.ErrMoved, mv.To.Shard)
			}
			s.Checkpoints[mv.To.Shard] = mv.To
		}
		return nil
	})
}

func (m *memory) Reset(ctx context.Context, r projection.Reset, fn func(tx map[string]int) error) error {
	return m.update(ctx, r.Name, fn, func(s *projection.State) error {
		if s.Version != r.Held {
			return fmt.Errorf("%w: version %d", projection.ErrMoved, s.Version)
		}
		*s = projection.State{Version: r.Version, Checkpoints: make([]projection.Checkpoint, r.Shards)}
		for i := range s.Checkpoints {
			s.Checkpoints[i].Shard = i
		}
		return nil
	})
}

func (m *memory) Note(_ context.Context, name string, stop *projection.Stop) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.states[name]
	s.Stop = stop
	m.states[name] = s
	return nil
}

// update changes state and rows together, or neither.
func (m *memory) update(ctx context.Context, name string, fn func(map[string]int) error, move func(*projection.State) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, state := maps.Clone(m.rows), m.states[name]
	state.Checkpoints = slices.Clone(state.Checkpoints)
	if err := errors.Join(ctx.Err(), move(&state)); err != nil {
		return err
	}
	if err := fn(rows); err != nil {
		return err
	}
	m.rows, m.states[name] = rows, state
	return nil
}

func TestMemorySink(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Store[map[string]int] {
		return memoryStore(newMemory())
	})
}

func memoryStore(m *memory) sinktest.Store[map[string]int] {
	return sinktest.Store[map[string]int]{
		Sink:  m,
		Clear: func(tx map[string]int) error { clear(tx); return nil },
		Add:   func(tx map[string]int, key string, n int) error { tx[key] += n; return nil },
		Rows: func(context.Context) (map[string]int, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			return maps.Clone(m.rows), nil
		},
		Reopen: func() sinktest.Store[map[string]int] { return memoryStore(m) },
	}
}

// A sink is whatever can keep rows and checkpoints together: here a map.
func ExampleSink() {
	ctx := context.Background()
	events, _, leave := place(ctx)
	defer leave()
	for _, account := range []string{"account/ada", "account/ada", "account/bob"} {
		if _, err := events.Append(ctx, account, nil, Deposited{500}); err != nil {
			log.Fatal(err)
		}
	}
	m := newMemory()
	runner := &projection.Runner[map[string]int]{Log: events, Sink: m, Projections: []projection.Projection[map[string]int]{{
		Name: "deposits", Version: 1,
		Handlers: projection.Handlers[map[string]int]{
			projection.On(func(tx map[string]int, r eventlog.Record, _ Deposited) error {
				tx[r.Stream]++
				return nil
			}),
		},
	}}}
	if err := runner.CatchUp(ctx); err != nil {
		log.Fatal(err)
	}
	state, err := m.State(ctx, "deposits")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.rows)
	fmt.Println("revisions:", state.Position())
	// Output:
	// map[account/ada:2 account/bob:1]
	// revisions: 0:1 1:2
}
