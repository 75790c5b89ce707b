package datastorelog

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/internal/cost"
	"github.com/rollforward/rollforward/internal/emulator"
)

// A meter adds up what calls cost.
type meter struct {
	mu    sync.Mutex
	usage Usage
	calls map[string]int
}

func (m *meter) hooks() Hooks {
	return Hooks{Call: func(c CallInfo) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.calls == nil {
			m.calls = make(map[string]int)
		}
		m.usage = m.usage.Add(c.Usage)
		m.calls[c.Method]++
	}}
}

// take returns what was added since the last call.
func (m *meter) take() (Usage, map[string]int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, c := m.usage, m.calls
	m.usage, m.calls = Usage{}, nil
	return u, c
}

func metered(t *testing.T, s server, project string) (*eventlog.Log, *drivertest.Faulty, *meter) {
	t.Helper()
	m := new(meter)
	f := drivertest.NewFaulty(s.open(t, project, &Options{Hooks: m.hooks()}), nil)
	l, err := eventlog.Open(t.Context(), f, &eventlog.Options{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	m.take()
	return l, f, m
}

func costs(t *testing.T, what string, m *meter, want Usage) {
	t.Helper()
	got, calls := m.take()
	if got != want {
		t.Errorf("%s costs %+v by %v, expected %+v", what, got, calls, want)
	}
}

// group appends one event to each stream, all of them in one durable write.
func group(t *testing.T, l *eventlog.Log, f *drivertest.Faulty, streams []string) {
	t.Helper()
	gate, reached := make(chan struct{}), make(chan struct{})
	first := true
	f.Inject(func(c drivertest.Call) drivertest.Fault {
		if c.Method != "Write" || !first {
			return drivertest.Fault{}
		}
		first = false
		close(reached)
		return drivertest.Fault{Before: gate}
	})
	var wg sync.WaitGroup
	ctx := context.WithoutCancel(t.Context())
	queued := make(chan struct{}, len(streams)+1)
	wg.Go(func() { // holds up the lane until all others stand in it
		if _, err := l.Append(ctx, "first", nil, noted{"x"}); err != nil {
			t.Error(err)
		}
	})
	<-reached
	for _, s := range streams {
		wg.Go(func() {
			_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
				tx.OnPlaced(func() { queued <- struct{}{} })
				return tx.Append(s, noted{"x"})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range streams {
		<-queued
	}
	close(gate)
	wg.Wait()
	f.Inject(nil)
}

func streamNames(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("s/%02d", i))
	}
	return names
}

// TestCostOfAppends: a group is one entity, written and never deleted; nothing is
// read for streams that are known, and the index once for what is not.
func TestCostOfAppends(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		s, project := leg.server(t), emulator.Project()
		l, f, m := metered(t, s, project)
		names := streamNames(64)
		append1 := func(l *eventlog.Log, stream string, o *eventlog.AppendOptions) {
			t.Helper()
			if _, err := l.Append(t.Context(), stream, o, noted{"x"}); err != nil {
				t.Fatal(err)
			}
		}
		append1(l, "first", nil)
		costs(t, "an append to a new stream", m, Usage{Reads: 1, Writes: 1, IndexEntries: 4})
		for _, n := range names {
			append1(l, n, nil)
		}
		m.take()
		group(t, l, f, names)
		// The append that held up the lane, and the group: 64 streams and the place.
		costs(t, "a group of 64 appends", m, Usage{Writes: 2, IndexEntries: 2*2 + 2*65})
		append1(l, names[0], &eventlog.AppendOptions{ID: "1"})
		costs(t, "an append with a new id", m, Usage{Reads: 1, Writes: 1, IndexEntries: 6})
		append1(l, names[0], &eventlog.AppendOptions{Expect: eventlog.Exactly(3)})
		costs(t, "an append with the expected version", m, Usage{Writes: 1, IndexEntries: 4})

		cold, _, m := metered(t, s, project)
		append1(cold, names[1], nil)
		costs(t, "an append to a cold stream", m, Usage{Reads: 1, Writes: 1, IndexEntries: 4})
	})
}

// TestCostOfReads: a stream is one query for the blocks that hold it, a replay
// reads each block once.
func TestCostOfReads(t *testing.T) {
	t.Parallel()
	eachLeg(t, func(t *testing.T, leg leg) {
		s, project := leg.server(t), emulator.Project()
		l, _, _ := metered(t, s, project)
		const blocks, size = 24, 100
		for i := range blocks {
			_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
				for j := range size {
					if err := tx.Append(fmt.Sprintf("s/%d", (i+j)%(blocks*size/4)), noted{"x"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		again, _, m := metered(t, s, project)
		n := 0
		for _, err := range again.Read(t.Context(), eventlog.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != blocks*size {
			t.Errorf("%d events, expected %d", n, blocks*size)
		}
		got, calls := m.take()
		want := cost.Replay(cost.Workload{Events: n, Block: size})
		if got.Reads < want.Reads || got.Reads > want.Reads+4 || got.Writes+got.Deletes > 0 {
			t.Errorf("replay of %d events costs %+v by %v, expected %d reads and few more", n, got, calls, want.Reads)
		}
		t.Logf("replay of %d events in blocks of %d: %+v by %v", n, size, got, calls)

		end, err := again.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m.take()
		for range again.Read(t.Context(), eventlog.Query{After: end}) {
			t.Error("a record behind the end")
		}
		costs(t, "a look for news", m, Usage{Reads: 1})

		events := version(t, again, "s/30")
		got, calls = m.take()
		if got.Reads > events || calls["RunQuery"] != 1 || calls["Lookup"] > 0 {
			t.Errorf("the load of a stream of %d events costs %+v by %v, expected one query", events, got, calls)
		}
	})
}

// TestCostIsReckonedRight compares what `eventlog cost` says of appends with what
// they cost.
func TestCostIsReckonedRight(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 10, 64} {
		s, project := legs[0].server(t), emulator.Project()
		l, f, m := metered(t, s, project)
		names := streamNames(size)
		const groups = 5
		group(t, l, f, names)
		m.take()
		for range groups {
			group(t, l, f, names)
		}
		got, _ := m.take()
		got = Usage{got.Reads, got.Writes - groups, got.Deletes, got.IndexEntries - groups*4, got.Small} // less the append that holds up the lane
		want := cost.Append(cost.Workload{Events: groups * size, Block: size, Keys: 1})
		if got != (Usage{Reads: want.Reads, Writes: want.Writes, Deletes: want.Deletes, IndexEntries: want.IndexEntries}) {
			t.Errorf("blocks of %d: %+v, reckoned %+v", size, got, want)
		}
	}
}
