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

// Dead yields the dead letters: steps that failed for good, whose handler has no
// Failed, and that nobody has decided on; by shard of their target, oldest first.
func Dead(ctx context.Context, l *eventlog.Log) iter.Seq2[Info, error] {
	return shardByShard(l, "dead letters", func(shard int) iter.Seq2[Info, error] { return deadIn(ctx, l, shard) })
}

// deadIn yields the dead letters of a shard. They are looked up in pages, since
// many of them may stand in one commit: a small one first, because few may be
// wanted.
func deadIn(ctx context.Context, l *eventlog.Log, shard int) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		letters, err := lettersIn(ctx, l, shard)
		if err != nil {
			yield(Info{}, err)
			return
		}
		for size := firstPage; len(letters) > 0; size = min(2*size, largestPage) {
			page := letters[:min(size, len(letters))]
			letters = letters[len(page):]
			list, err := describeDead(ctx, l, page)
			if err != nil {
				yield(Info{}, err)
				return
			}
			for _, i := range list {
				if !yield(i, nil) {
					return
				}
			}
		}
	}
}

// A letter is a dead letter and where its death stands.
type letter struct {
	dead
	id   eventlog.ID
	at   time.Time
	data json.RawMessage // that somebody gave the step since; nil: it is as it was
}

// lettersIn returns the dead letters of a shard that nobody has decided on.
func lettersIn(ctx context.Context, l *eventlog.Log, shard int) ([]letter, error) {
	var list []letter
	last := make(map[eventlog.ID]int) // of a step, its place in list; a redriven one may die again
	edited := make(map[eventlog.ID]json.RawMessage)
	for r, err := range l.Read(ctx, eventlog.Query{Stream: deadStream(shard)}) {
		if err != nil {
			return nil, err
		}
		id, err := taggedStep(&r)
		if err != nil {
			return nil, err
		}
		if r.Type != typeDead {
			delete(last, id)
			var v verdict
			if err := r.Decode(&v); err != nil {
				return nil, err
			}
			if v.Data != nil {
				edited[id] = v.Data
			}
			continue
		}
		d := letter{id: id, at: r.Time, data: edited[id]}
		if err := r.Decode(&d.dead); err != nil {
			return nil, err
		}
		last[id] = len(list)
		list = append(list, d)
	}
	var out []letter
	for n, d := range list {
		if i, ok := last[d.id]; ok && i == n {
			out = append(out, d)
		}
	}
	return out, nil
}

// taggedStep returns the step whose life an event belongs to.
func taggedStep(r *eventlog.Record) (eventlog.ID, error) {
	for _, t := range r.Tags {
		if len(t) > len(stepTags) && t[:len(stepTags)] == stepTags {
			return eventlog.ParseID(t[len(stepTags):])
		}
	}
	return eventlog.ID{}, fmt.Errorf("%w: %s in %s names no step", eventlog.ErrCorrupt, r.Type, r.Stream)
}

// describeDead describes dead letters, in their order.
func describeDead(ctx context.Context, l *eventlog.Log, page []letter) ([]Info, error) {
	versions := make(map[int][]uint64) // by the shard of the steps
	for _, d := range page {
		versions[d.Shard] = append(versions[d.Shard], d.Version)
	}
	type at struct {
		shard   int
		version uint64
	}
	found := make(map[at]Info)
	for shard, list := range versions {
		slices.Sort(list)
		for r, err := range readSteps(ctx, l, shard, slices.Compact(list)) {
			if err != nil {
				return nil, err
			}
			found[at{shard, r.Version}] = infoOf(&r)
		}
	}
	out := make([]Info, len(page))
	for n, d := range page {
		i := found[at{d.Shard, d.Version}]
		i.ID, i.Type, i.Target = d.id, d.Type, d.Target // also of one that cannot be read
		i.Dead, i.Attempts, i.Err, i.First, i.Last, i.Expired, i.Due = true, d.Attempts, d.Error, d.First, d.at, d.Expired, time.Time{}
		if d.data != nil {
			i.Data = d.data
		}
		out[n] = i
	}
	return out, nil
}
