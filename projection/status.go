package projection

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Status says how a projection fares.
type Status struct {
	Name    string
	Version int // of the program
	Held    int // of the sink; 0: it holds nothing yet
	// Err is why the projection has stopped, a [*Stop] when it was not this Run
	// that it stopped in, or what keeps it from starting, which is known only where
	// it runs.
	Err    error
	Shards []ShardStatus
	// Skipped counts the events without a handler by type, since the start of
	// Run. It is known only where the projection runs.
	Skipped map[string]uint64
}

// A ShardStatus says how a projection fares in one shard.
type ShardStatus struct {
	Checkpoint
	Tail    driver.Revision // of the log
	Commits uint64          // between Checkpoint and Tail
	// Events is how many events there are between, system events included. It
	// is counted in up to a thousand commits, and estimated from them for more.
	Events uint64
	Lag    time.Duration // the age of the first of these events
	Err    error         // what is being retried, or does not end; known only where the projection runs
}

// Status returns how the named projections fare, without names all of them. It
// works in any process that has the log and the sink.
func (r *Runner[T]) Status(ctx context.Context, names ...string) ([]Status, error) {
	list, err := r.named(names)
	if err != nil {
		return nil, fmt.Errorf("projection: status: %w", err)
	}
	var out []Status
	for i := range list {
		s, err := r.status(ctx, &list[i])
		if err != nil {
			return nil, fmt.Errorf("projection: status of %s: %w", list[i].Name, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func (r *Runner[T]) status(ctx context.Context, p *Projection[T]) (Status, error) {
	out := Status{Name: p.Name, Version: p.Version}
	var troubles map[int]error
	live := r.live(p.Name)
	if live != nil {
		troubles, out.Skipped, out.Err = live.report()
		if out.Err == nil {
			out.Err = troubles[allShards]
		}
	}
	// The sink first: it is then never ahead of the log.
	state, err := r.Sink.State(ctx, p.Name)
	if err != nil {
		return out, err
	}
	tail, err := r.Log.Position(ctx)
	if err != nil {
		return out, err
	}
	if stop := state.Stopped(); live == nil && stop != nil {
		out.Err = stop
	}
	out.Held = state.Version
	for shard := range r.Log.Shards() {
		s := ShardStatus{Checkpoint: Checkpoint{Shard: shard}, Tail: tail.Revision(shard), Err: troubles[shard]}
		if i := slices.IndexFunc(state.Checkpoints, func(c Checkpoint) bool { return c.Shard == shard }); i >= 0 {
			s.Checkpoint = state.Checkpoints[i]
		}
		if err := r.measure(ctx, &s); err != nil {
			return out, err
		}
		out.Shards = append(out.Shards, s)
	}
	return out, nil
}

const countedCommits = 1000

// measure fills in the lag.
func (r *Runner[T]) measure(ctx context.Context, s *ShardStatus) error {
	if s.Tail <= s.Revision {
		return nil
	}
	s.Commits = uint64(s.Tail - s.Revision)
	counted := min(s.Commits, countedCommits)
	q := eventlog.Query{Shards: []int{s.Shard}, From: uint64(s.Revision) + 1, To: uint64(s.Revision) + counted, System: true, Stored: true}
	for rec, err := range r.Log.Read(ctx, q) {
		if err != nil {
			return err
		}
		if s.Events++; s.Events == 1 {
			s.Lag = max(0, r.Log.Now().Sub(rec.Time))
		}
	}
	if s.Commits > counted {
		s.Events = s.Events * s.Commits / counted
	}
	return nil
}

// Position returns how far the projection has come.
func (s *Status) Position() eventlog.Position {
	var p eventlog.Position
	for _, sh := range s.Shards {
		p = p.With(sh.Shard, sh.Revision)
	}
	return p
}

// Lag is the age of the oldest event that has not taken effect.
func (s *Status) Lag() time.Duration {
	var d time.Duration
	for _, sh := range s.Shards {
		d = max(d, sh.Lag)
	}
	return d
}

// Healthy reports whether nothing keeps the projection from going on.
func (s *Status) Healthy() bool {
	return s.Err == nil && !slices.ContainsFunc(s.Shards, func(sh ShardStatus) bool { return sh.Err != nil })
}
