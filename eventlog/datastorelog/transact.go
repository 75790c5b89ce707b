package datastorelog

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/dserr"
	"github.com/rollforward/rollforward/internal/jitter"
)

// transact does the Write in a transaction.
func (a *attempt) transact(ctx context.Context) error {
	mutations := append(a.mutations(), a.user...)
	if err := a.makeWay(ctx, len(mutations)); err != nil {
		return err
	}
	var s sent
	tx, err := a.client.NewTransaction(noting(ctx, &s))
	if err != nil {
		return a.cause(ctx, unreachable(err))
	}
	return a.in(ctx, tx, &s, mutations, func() {})
}

// in does the Write in a transaction, which it ends. It reads the shards and cells
// that are only conditions, and never a key that it inserts. It calls committing
// before anything can come of it.
func (a *attempt) in(ctx context.Context, tx *datastore.Transaction, s *sent, mutations []*datastore.Mutation, committing func()) error {
	begin := time.Now()
	moved, err := a.read(ctx, tx)
	if err == nil && !moved {
		if _, err = tx.Mutate(mutations...); err != nil {
			err = fmt.Errorf("%w: %w", driver.ErrBeside, err)
		}
	}
	if err != nil || moved {
		a.giveUp(tx)
	}
	switch {
	case err != nil:
		return err
	case moved:
		return a.explain(ctx, errMoved)
	}
	committing()
	s.Store(false)
	_, err = tx.Commit()
	o := outcomeOf(err, true, s.Load())
	if o != done {
		a.giveUp(tx)
	}
	answer := a.settle(ctx, o, err, time.Since(begin))
	again, ok := answer.(*againError)
	if a.user == nil && a.guest == nil {
		return answer
	}
	if o == taken && ok && !again.found || (o == refused || o == over) && refusedFor(err) {
		return fmt.Errorf("%w: %w", driver.ErrBeside, err)
	}
	return answer
}

// giveUp frees the locks of a transaction, also of one that may still be under
// way: then either of both wins. Locks that it cannot free last until the service
// takes the transaction for dead, about a minute. Nobody waits for it but Close,
// and behind that it is not tried.
func (l *Log) giveUp(tx *datastore.Transaction) {
	l.work.do(func() {
		for n := range 3 {
			err := tx.Rollback()
			if err == nil || definite(status.Code(err)) || sleep(l.alive, jitter.N(pauseAfter(n))) != nil {
				return
			}
		}
	})
}

// read reads inside the transaction what the Write is conditional on. moved says
// that a shard is not where it was.
func (a *attempt) read(ctx context.Context, tx *datastore.Transaction) (moved bool, err error) {
	var keys []*datastore.Key
	for _, i := range a.reads {
		keys = append(keys, a.blockKey(a.w.Batches[i].Shard, a.at[i].block+1))
	}
	var ops []driver.CellOp
	for _, op := range a.w.Cells {
		if op.If != nil && !inserts(op) {
			keys, ops = append(keys, a.cellKey(op.Cell.Key)), append(ops, op)
		}
	}
	if len(keys) == 0 {
		return false, nil
	}
	blocks, cells := make([]rawBlock, len(a.reads)), make([]rawCell, len(ops))
	err = dserr.IgnoreMissing(tx.GetMulti(keys, append(pointers(blocks), pointers(cells)...)))
	if dserr.Conflict(err) {
		return false, &againError{err: err}
	}
	if err != nil {
		return false, a.cause(ctx, unreachable(err))
	}
	for i := range blocks {
		moved = moved || blocks[i].commits != nil
	}
	return moved, holds(ops, cells)
}

// inserts reports that an op needs no look: its insertion fails where a cell is.
func inserts(op driver.CellOp) bool { return op.Op == driver.Put && op.If != nil && *op.If == 0 }

// mutations returns what the transaction changes of the log.
func (a *attempt) mutations() []*datastore.Mutation {
	var list []*datastore.Mutation
	for _, b := range a.puts {
		list = append(list, datastore.NewInsert(a.blockKey(b.shard, b.number), b))
	}
	for _, op := range a.w.Cells {
		key, cell := a.cellKey(op.Cell.Key), newRawCell(op.Cell)
		switch {
		case inserts(op):
			list = append(list, datastore.NewInsert(key, cell))
		case op.Op == driver.Put:
			list = append(list, datastore.NewUpsert(key, cell))
		case op.Op == driver.Delete:
			list = append(list, datastore.NewDelete(key))
		}
	}
	return list
}
