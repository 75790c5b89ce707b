package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
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
	Cause    eventlog.ID // the step whose handler emitted it, if one did
	Timer    string      // the timer that it is set to, if it is one's
	Time     time.Time   // of the commit that holds the step
	Shard    int         // of that commit
	Version  uint64      // in the shard's $steps stream
	Attempts int         // that failed
	Err      string      // of the last attempt, or why the step cannot be read
	First    time.Time   // attempt
	Last     time.Time   // attempt
	Due      time.Time   // not dead: it does not run before
	Parked   string      // why the runner that met it left it to another one
	Stopped  bool        // an ordered step before it stops its target
	Dead     bool        // failed for good
	Expired  bool        // because it came too late
}

// Pending yields the steps that are neither done nor dead: those to be rolled
// forward, those that wait for their time or their next attempt or behind a step
// that stops their target, and those that are left to another program; shard by
// shard, those that wait first, the others in their order.
func Pending(ctx context.Context, l *eventlog.Log) iter.Seq2[Info, error] {
	return shardByShard(l, "pending", func(shard int) iter.Seq2[Info, error] { return pendingIn(ctx, l, shard) })
}

// shardByShard yields what there is in each shard, up to the first error, which says
// what was wanted.
func shardByShard(l *eventlog.Log, what string, in func(shard int) iter.Seq2[Info, error]) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for shard := range l.Shards() {
			for i, err := range in(shard) {
				if err != nil {
					err = fmt.Errorf("outbox: %s: %w", what, err)
				}
				if !yield(i, err) || err != nil {
					return
				}
			}
		}
	}
}

func pendingIn(ctx context.Context, l *eventlog.Log, shard int) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		value, _, err := l.ReadCell(ctx, cursorKey(shard))
		if err != nil {
			yield(Info{}, err)
			return
		}
		at := decodeMark(value).At
		held := make(map[eventlog.ID]struct{}) // stopped or parked: a decision on one stands in the log as a step, too
		for _, kind := range []string{dueCells, stopCells, parkedCells} {
			prefix := cellsOf(kind, shard)
			for i, err := range celled(ctx, l, shard, kind, prefix, above(prefix[:len(prefix)-1]), at) {
				if _, again := held[i.ID]; again && err == nil {
					continue
				}
				if kind != dueCells {
					held[i.ID] = struct{}{}
				}
				if !yield(i, err) || err != nil {
					return
				}
			}
		}
		for r, err := range l.Read(ctx, eventlog.Query{Stream: stepsStream(shard), From: at + 1}) {
			var i Info
			over := false
			if err == nil {
				i, over, err = describe(ctx, l, &r)
			}
			if _, again := held[i.ID]; again && err == nil {
				continue
			}
			if !over && (!yield(i, err) || err != nil) {
				return
			}
		}
	}
}

// celled yields the steps of a shard up to a version that stand in cells of a
// kind with from ≤ key < to, in the order of the cells. They are looked up a page
// at a time, since many of them may stand in one commit.
func celled(ctx context.Context, l *eventlog.Log, shard int, kind, from, to string, at uint64) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for from := from; ; {
			var page []*item
			for c, err := range l.Cells(ctx, from, to, cellsPage) {
				var it *item
				if err == nil {
					it, err = cellItem(c.Key, c.Value)
				}
				if err != nil {
					yield(Info{}, err)
					return
				}
				from = c.Key + "\x00"
				page = append(page, it)
			}
			infos, err := describeCells(ctx, l, shard, kind, at, page)
			if err != nil {
				yield(Info{}, err)
				return
			}
			for _, i := range infos {
				if !yield(i, nil) {
					return
				}
			}
			if len(page) < cellsPage {
				return
			}
		}
	}
}

// describeCells describes the steps of a page, those left out that are over and
// those that the log has behind version at as well.
func describeCells(ctx context.Context, l *eventlog.Log, shard int, kind string, at uint64, page []*item) ([]Info, error) {
	var versions []uint64
	for _, it := range page {
		if it.version <= at {
			versions = append(versions, it.version)
		}
	}
	slices.Sort(versions)
	found := make(map[uint64]Info)
	for r, err := range readSteps(ctx, l, shard, slices.Compact(versions)) {
		if err != nil {
			return nil, err
		}
		i, over, err := describe(ctx, l, &r)
		if err != nil {
			return nil, err
		}
		if !over {
			found[r.Version] = i
		}
	}
	var out []Info
	for _, it := range page {
		if i, ok := found[it.version]; ok {
			i.Parked, i.Stopped = it.reason, kind == stopCells
			out = append(out, i)
		}
	}
	return out, nil
}

// infoOf describes a step. Of one that cannot be read Err says why.
func infoOf(r *eventlog.Record) Info {
	it := newItem(r)
	i := Info{ID: it.id, Type: it.typ, Target: it.target, Timer: it.timer, Time: it.time, Due: it.due, Shard: r.Shard, Version: it.version}
	if it.err != nil {
		i.Err = text(it.err)
		return i
	}
	s, err := decodeStep(it.id, it.raw)
	if err != nil {
		i.Err = text(err)
		return i
	}
	i.Data, i.Chain, i.Cause = s.Data, s.Chain, s.Cause
	return i
}

// describe adds to a step what is written under its tag.
func describe(ctx context.Context, l *eventlog.Log, r *eventlog.Record) (i Info, over bool, err error) {
	if i = infoOf(r); i.Err != "" {
		return i, false, nil
	}
	var so life
	shard := l.ShardOf(i.Target)
	for r, err := range l.Read(ctx, eventlog.Query{Tag: stepTag(i.ID), Shards: []int{shard}}) {
		if err == nil {
			err = so.apply(&r)
		}
		if err != nil {
			return i, false, err
		}
	}
	if so.data != nil {
		i.Data = so.data
	}
	i.Attempts, i.Err, i.First, i.Last, i.Dead = so.attempts, so.err, so.first, so.last, so.dead
	if so.due.After(i.Due) {
		i.Due = so.due
	}
	if i.Timer == "" || so.over {
		return i, so.over, nil
	}
	moved, err := i.superseded(ctx, l)
	return i, !moved.IsZero(), err
}

// superseded returns when the timer that a step was set to was moved or cancelled,
// the zero time if it still is set to it.
func (i *Info) superseded(ctx context.Context, l *eventlog.Log) (at time.Time, err error) {
	q := eventlog.Query{Tag: Timer{i.Target, i.Timer}.tag(), Shards: []int{l.ShardOf(i.Target)}, Backward: true}
	for r, err := range l.Read(ctx, q) {
		if err != nil || r.ID == i.ID {
			return at, err
		}
		at = r.Time
	}
	return at, nil
}
