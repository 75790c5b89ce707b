package datastorelog

import (
	"context"
	"slices"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/dserr"
)

// explain finds out what kept the Write from its places: itself (somebody on the
// way sent it twice), another writer, or nothing that can be seen any more.
func (a *attempt) explain(ctx context.Context, why error) error {
	found := make([]*block, len(a.w.Batches))
	for i, b := range a.w.Batches {
		next, err := a.lookup(ctx, b.Shard, a.at[i].block+1, 2)
		if err != nil {
			return inDoubt(ctx, err)
		}
		if len(next) == 0 {
			continue
		}
		if next[0].mark.call == a.mark.call {
			a.won(0)
			return nil
		}
		found[i] = next[len(next)-1]
	}
	for i, b := range a.w.Batches {
		if found[i] == nil {
			continue
		}
		if who := found[i].mark.writer(); who != a.self {
			a.heads.meet(b.Shard, who)
		}
		if f := a.opts.Hooks.Lost; f != nil {
			f(b.Shard)
		}
		last, err := a.lastAfter(ctx, found[i], a.at[i])
		if err != nil {
			return err
		}
		if last != b.First-1 {
			return &driver.TailError{Shard: b.Shard, Tail: last}
		}
	}
	if err := a.conditionsHold(ctx); err != nil {
		return err
	}
	return &againError{why, slices.ContainsFunc(found, func(b *block) bool { return b != nil })}
}

// lastAfter returns the tail of a shard of which block b was found when looking
// for the two behind a place.
func (l *Log) lastAfter(ctx context.Context, b *block, p place) (driver.Revision, error) {
	if b.number < p.block+2 {
		return b.last, nil
	}
	return l.knownTail(ctx, b.shard)
}

// conditionsHold reads the cells that the Write looks at.
func (a *attempt) conditionsHold(ctx context.Context) error {
	var keys []*datastore.Key
	var ops []driver.CellOp
	for _, op := range a.w.Cells {
		if op.If != nil {
			keys, ops = append(keys, a.cellKey(op.Cell.Key)), append(ops, op)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	cells := make([]rawCell, len(keys))
	if err := dserr.IgnoreMissing(a.client.GetMulti(ctx, keys, pointers(cells))); err != nil {
		return a.cause(ctx, unreachable(err))
	}
	return holds(ops, cells)
}

// holds compares cells with what ops want of them.
func holds(ops []driver.CellOp, cells []rawCell) error {
	for i, op := range ops {
		if v := uint64(cells[i].version); v != *op.If {
			return &driver.CellError{Key: op.Cell.Key, Version: v}
		}
	}
	return nil
}

// pointers returns what GetMulti loads into.
func pointers[T any](list []T) []any {
	out := make([]any, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}
