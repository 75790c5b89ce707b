package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// A ChainStep is a step of a chain and what became of it.
type ChainStep struct {
	Info
	Linked    bool      // it ran in the commit that emitted it
	Over      time.Time // when it was done, refused, dead or cancelled; zero: it is pending
	Refused   bool      // it failed for good, and its handler's Failed did the rest
	Cancelled bool      // it never runs, also because its timer was moved or cancelled
}

// Chain yields the steps of a chain, in all shards, each behind the one whose
// handler emitted it. The first step of a chain has no Cause.
func Chain(ctx context.Context, l *eventlog.Log, chain eventlog.ID) iter.Seq2[ChainStep, error] {
	return func(yield func(ChainStep, error) bool) {
		commits, err := chainCommits(ctx, l, chain)
		for n := 0; err == nil && n < len(commits); n++ {
			var steps []ChainStep
			steps, err = commits[n].steps(ctx, l, chain)
			for i := 0; err == nil && i < len(steps); i++ {
				if err = steps[i].follow(ctx, l); err == nil && !yield(steps[i], nil) {
					return
				}
			}
		}
		if err != nil {
			yield(ChainStep{}, fmt.Errorf("outbox: chain %s: %w", chain, err))
		}
	}
}

// A chainCommit is one in which something of a chain happened.
type chainCommit struct {
	shard int
	rev   driver.Revision
}

// chainCommits finds them, in the order of their times.
func chainCommits(ctx context.Context, l *eventlog.Log, chain eventlog.ID) (list []chainCommit, err error) {
	times := make(map[chainCommit]time.Time)
	for r, err := range l.Read(ctx, eventlog.Query{Correlation: chain, System: true}) {
		if err != nil {
			return nil, err
		}
		times[chainCommit{r.Shard, r.Revision}] = r.Time
	}
	list = slices.Collect(maps.Keys(times))
	slices.SortFunc(list, func(a, b chainCommit) int {
		return cmp.Or(times[a].Compare(times[b]), cmp.Compare(a.shard, b.shard))
	})
	return list, nil
}

// steps returns the steps of the chain that the commit emitted.
func (c chainCommit) steps(ctx context.Context, l *eventlog.Log, chain eventlog.ID) (list []ChainStep, err error) {
	q := eventlog.Query{Shards: []int{c.shard}, From: uint64(c.rev), To: uint64(c.rev), Types: []string{typeEnqueued, typeRolled}, System: true}
	for r, err := range l.Read(ctx, q) {
		if err != nil {
			return nil, err
		}
		var s enqueued
		if json.Unmarshal(r.Data, &s) != nil || s.Chain != chain {
			continue
		}
		i := Info{ID: r.ID, Type: s.Type, Target: s.Target, Data: s.Data, Chain: s.Chain, Cause: s.Cause, Timer: s.Timer,
			Time: r.Time, Shard: r.Shard, Version: r.Version}
		if s.Due != nil {
			i.Due = *s.Due
		}
		list = append(list, ChainStep{Info: i, Linked: r.Type == typeRolled})
	}
	return list, nil
}

// follow adds what happened to a step.
func (s *ChainStep) follow(ctx context.Context, l *eventlog.Log) error {
	var so life
	for r, err := range l.Read(ctx, eventlog.Query{Tag: stepTag(s.ID), Shards: []int{l.ShardOf(s.Target)}}) {
		if err == nil && r.Type != typeRolled {
			err = so.apply(&r)
		}
		if err != nil {
			return err
		}
		if r.Type == typeDone {
			var d done
			if err := r.Decode(&d); err != nil {
				return err
			}
			if s.Refused = d.Error != ""; s.Refused {
				so.err, so.attempts = d.Error, so.attempts+1
			}
		}
		s.Over = time.Time{}
		if so.over || r.Type == typeRolled {
			s.Over = r.Time
		}
	}
	s.Attempts, s.Err, s.First, s.Last, s.Dead, s.Cancelled = so.attempts, so.err, so.first, so.last, so.dead, so.cancelled
	if so.due.After(s.Due) {
		s.Due = so.due
	}
	if so.data != nil {
		s.Data = so.data
	}
	if s.Timer == "" || !s.Over.IsZero() {
		return nil
	}
	var err error
	s.Over, err = s.superseded(ctx, l)
	s.Cancelled = !s.Over.IsZero()
	return err
}
