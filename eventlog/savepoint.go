package eventlog

import "github.com/rollforward/rollforward/eventlog/driver"

// Savepoint runs fn. When fn returns an error (or panics), what it wrote is
// rolled back; what it read stays a condition. Savepoints nest.
func (tx *Tx) Savepoint(fn func() error) (err error) {
	mark, done := tx.mark(), false
	defer func() {
		if !done || err != nil {
			tx.rollback(mark)
		}
		tx.release()
	}()
	err = fn()
	done = true
	return err
}

// nesting is what a transaction with savepoints keeps, so that each of them costs
// what is done in it and not what the transaction holds.
type nesting struct {
	depth int          // savepoints that run
	base  int          // events before the outermost of them
	grown []shardSize  // what was added beside events since the outermost began
	cells []cellChange // and what was changed
	scope *scope       // the innermost that runs
	metas []Meta       // of the scopes in which events were appended
	undo  []func()     // what OnRollback was told
}

// cellChange is what a cell's use was before.
type cellChange struct {
	at    int // in Tx.cells
	op    driver.Op
	value []byte
}

// savepoint is how far the transaction was.
type savepoint struct {
	events, onces, tables, sizes int
	beside                       int
	grown, cells, metas, undo    int
	meta                         Meta // of the transaction or the scope
}

// mark returns what rollback goes back to. A release belongs to it.
func (tx *Tx) mark() savepoint {
	if tx.nested == nil {
		tx.nested = new(nesting)
	}
	tx.nested.begin(len(tx.events))
	n := tx.nested
	n.depth++
	return savepoint{len(tx.events), len(tx.onces), len(tx.tables), len(tx.sizes), len(tx.beside),
		len(n.grown), len(n.cells), len(n.metas), len(n.undo), tx.Meta().clone()}
}

// release ends a savepoint. What none can roll back any more is forgotten.
func (tx *Tx) release() {
	n := tx.nested
	if n.depth--; n.depth == 0 {
		n.grown, n.cells, n.undo = n.grown[:0], n.cells[:0], nil
	}
}

// rollback is called in the scope in which the mark was made.
func (tx *Tx) rollback(s savepoint) {
	n := tx.nested
	tx.rollbacks++
	for k := len(n.undo); k > s.undo; k = len(n.undo) {
		f := n.undo[k-1]
		n.undo = n.undo[:k-1]
		f()
	}
	for i := len(n.cells) - 1; i >= s.cells; i-- {
		c := &n.cells[i]
		tx.cells[c.at].op, tx.cells[c.at].value = c.op, c.value
	}
	for _, g := range n.grown[s.grown:] {
		tx.shrink(int(g.shard), int(g.bytes))
	}
	tx.dropEvents(s.events)
	n.grown, n.cells, n.metas = n.grown[:s.grown], n.cells[:s.cells], n.metas[:s.metas]
	tx.onces, tx.tables, tx.sizes = tx.onces[:s.onces], tx.tables[:s.tables], tx.sizes[:s.sizes]
	tx.beside = tx.beside[:s.beside]
	*tx.Meta() = s.meta
	n.scope.forget(s.metas)
}

// OnRollback calls f when the savepoint that is under way, or one around it, is
// rolled back, those that came last first. It is for libraries that keep what
// they are told beside the transaction until its function ends; f must not use
// tx.
func (tx *Tx) OnRollback(f func()) {
	if n := tx.nested; n != nil && n.depth > 0 {
		n.undo = append(n.undo, f)
	}
}

// OnPlaced calls f when the transaction has its place behind all that it saw:
// Updates of this process that begin then see what it wrote, though it is not
// durable yet and may still come to nothing. It is for libraries that keep Updates
// of the same streams out of each other's way. f must not use tx.
func (tx *Tx) OnPlaced(f func()) { tx.placed = append(tx.placed, f) }

// growBeside is grow for something else than an event, of which a rollback could
// not tell how large it was.
func (tx *Tx) growBeside(shard, bytes int) error {
	if err := tx.grow(shard, bytes); err != nil {
		return err
	}
	if n := tx.nested; n != nil && n.depth > 0 {
		n.grown = append(n.grown, shardSize{int32(shard), int32(bytes)})
	}
	return nil
}

// changeCell is called before a cell's use is changed.
func (tx *Tx) changeCell(u *cellUse) {
	if n := tx.nested; n != nil && n.depth > 0 {
		n.cells = append(n.cells, cellChange{tx.cellAt[u.key], u.op, u.value})
	}
}
