package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// Info describes a step that is not done.
type Info struct {
	ID       eventlog.ID
	Type     string
	Target   string
	Data     json.RawMessage
	Chain    eventlog.ID // the first transaction of the chain
	Time     time.Time   // of the commit that holds the step
	Shard    int         // of that commit
	Version  uint64      // in the shard's $steps stream
	Attempts int         // that failed
	Err      string      // of the last attempt, or why the step cannot be read
	First    time.Time   // attempt
	Due      time.Time   // not dead: the next attempt is not before
	Dead     bool        // failed for good
}

// Pending yields the steps that are neither done nor dead: those to be rolled
// forward, those that wait for their next attempt, and those whose type no
// runner knows; shard by shard, in their order.
func Pending(ctx context.Context, l *eventlog.Log) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for shard := range l.Shards() {
			mark, err := readBookmark(ctx, l, shard)
			if err != nil {
				yield(Info{}, fmt.Errorf("outbox: pending: %w", err))
				return
			}
			for r, err := range open(ctx, l, shard, mark.cursor) {
				var i Info
				over := false
				if err == nil {
					i, over, err = describe(ctx, l, &r)
				}
				if err != nil {
					yield(Info{}, fmt.Errorf("outbox: pending: %w", err))
					return
				}
				if !over && !yield(i, nil) {
					return
				}
			}
		}
	}
}

// open yields the steps of a shard that its cursor does not tell to be decided.
func open(ctx context.Context, l *eventlog.Log, shard int, c cursor) iter.Seq2[eventlog.Record, error] {
	return func(yield func(eventlog.Record, error) bool) {
		for r, err := range readSteps(ctx, l, shard, c.Open) {
			if !yield(r, err) || err != nil {
				return
			}
		}
		for r, err := range l.Read(ctx, eventlog.Query{Stream: stepsStream(shard), From: c.At + 1}) {
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// Dead yields the dead letters: steps that failed for good and whose handler has
// no Failed; by shard of their target, oldest first.
func Dead(ctx context.Context, l *eventlog.Log) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for shard := range l.Shards() {
			for r, err := range l.Read(ctx, eventlog.Query{Stream: deadStream(shard), Types: []string{typeDead}}) {
				var i Info
				if err == nil {
					i, err = describeDead(ctx, l, &r)
				}
				if err != nil {
					yield(Info{}, fmt.Errorf("outbox: dead letters: %w", err))
					return
				}
				if !yield(i, nil) {
					return
				}
			}
		}
	}
}

func describeDead(ctx context.Context, l *eventlog.Log, r *eventlog.Record) (Info, error) {
	var d dead
	if err := r.Decode(&d); err != nil {
		return Info{}, err
	}
	i := Info{}
	for step, err := range readSteps(ctx, l, d.Shard, []uint64{d.Version}) {
		if err != nil {
			return i, err
		}
		i = infoOf(&step)
	}
	i.Dead, i.Attempts, i.Err, i.First = true, d.Attempts, d.Error, d.First
	return i, nil
}

// infoOf describes a step. Of one that cannot be read Err says why.
func infoOf(r *eventlog.Record) Info {
	it, err := newItem(r)
	i := Info{ID: it.id, Type: it.typ, Target: it.target, Time: it.time, Shard: it.shard, Version: it.version}
	if err != nil {
		i.Err = text(err)
		return i
	}
	i.Data, i.Chain = it.step.Data, it.step.Chain
	return i
}

// describe adds to a step what is written under its tag.
func describe(ctx context.Context, l *eventlog.Log, r *eventlog.Record) (i Info, over bool, err error) {
	if i = infoOf(r); i.Err != "" {
		return i, false, nil
	}
	var so life
	q := eventlog.Query{Tag: stepTag(i.ID), Shards: []int{l.ShardOf(i.Target)}}
	for r, err := range l.Read(ctx, q) {
		if err == nil {
			err = so.apply(&r)
		}
		if err != nil {
			return i, false, err
		}
	}
	i.Attempts, i.Err, i.First, i.Due = so.attempts, so.err, so.first, so.due
	return i, so.over, nil
}
