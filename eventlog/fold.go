package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// What one fold takes: enough to share a durable write, little enough to fit into
// one commit.
const (
	foldCells   = 128
	foldBytes   = 600_000
	foldAppends = 8192
	foldKeys    = 4000
)

// FoldShard gives the oldest relaxed appends of a shard their places, at once: as
// many as share one commit. It is what a sequencer does again and again. Each append
// is folded once, whoever calls this how often and in however many processes; they
// only cost each other work. An error that wraps ErrCorrupt names cells that cannot
// be read and stay as they are; the others were folded.
func (l *Log) FoldShard(ctx context.Context, shard int) (FoldInfo, error) {
	if shard < 0 || shard >= l.Shards() {
		return FoldInfo{}, fmt.Errorf("eventlog: fold: shard %d: the log has 0 to %d", shard, l.Shards()-1)
	}
	info, err := l.foldShard(ctx, shard)
	if err != nil {
		return info, fmt.Errorf("eventlog: fold shard %d: %w", shard, err)
	}
	return info, nil
}

// Fold folds every relaxed append that was acknowledged before the call, by
// whatever process, unless somebody else does, and returns a position that covers
// all of them.
func (l *Log) Fold(ctx context.Context) (Position, error) {
	shards, err := l.LooseShards(ctx)
	if err != nil {
		return Position{}, err
	}
	for _, s := range shards {
		if err := l.foldUpTo(ctx, s); err != nil {
			return Position{}, fmt.Errorf("eventlog: fold shard %d: %w", s, err)
		}
	}
	return l.Position(ctx)
}

// foldUpTo folds a shard until nothing is left of what is there now. What comes
// while it works may go with it, and does not keep it busy for ever.
func (l *Log) foldUpTo(ctx context.Context, shard int) error {
	last := ""
	for c, err := range l.driver.Cells(ctx, looseShard(shard), behind(looseShard(shard)), 0) {
		if err != nil {
			return err
		}
		last = c.Key
	}
	for last != "" {
		if _, err := l.foldShard(ctx, shard); err != nil {
			return err
		}
		first, err := l.firstLoose(ctx, shard)
		if err != nil {
			return err
		}
		if first == "" || first > last {
			return nil
		}
	}
	return nil
}

// LooseShards returns the shards that have relaxed appends which are not folded, in
// their order. It costs one small reading of the store, and one more for each.
func (l *Log) LooseShards(ctx context.Context) ([]int, error) {
	var list []int
	for next := 0; next < l.Shards(); {
		found := ""
		for c, err := range l.driver.Cells(ctx, looseShard(next), behind(looseCells), 1) {
			if err != nil {
				return nil, fmt.Errorf("eventlog: relaxed appends: %w", err)
			}
			found = c.Key
		}
		if found == "" {
			break
		}
		for next < l.Shards() && found >= behind(looseShard(next)) {
			next++
		}
		if next < l.Shards() {
			list = append(list, next)
		}
		next++
	}
	return list, nil
}

// firstLoose returns the key of a shard's first cell, "" without one.
func (l *Log) firstLoose(ctx context.Context, shard int) (key string, err error) {
	for c, err := range l.driver.Cells(ctx, looseShard(shard), behind(looseShard(shard)), 1) {
		if err != nil {
			return "", err
		}
		key = c.Key
	}
	return key, nil
}

// foldShard folds a shard, one caller of this process at a time.
func (l *Log) foldShard(ctx context.Context, shard int) (FoldInfo, error) {
	ln := l.lanes[shard]
	select {
	case ln.folding <- struct{}{}:
		defer func() { <-ln.folding }()
	case <-ctx.Done():
		return FoldInfo{}, ctx.Err()
	}
	begin := time.Now()
	for cells := foldCells; ; {
		f := &fold{log: l, lane: ln, most: cells}
		_, err := l.update(ctx, f.run, false)
		if errors.Is(err, ErrTooLarge) && len(f.cells) > 1 {
			cells = len(f.cells) / 2 // an estimate was wrong
			continue
		}
		if err == nil {
			err = f.sweep(ctx)
		}
		f.info.Duration = time.Since(begin)
		if err == nil && f.info.Cells > 0 {
			f.tell()
		}
		return f.info, errors.Join(err, f.damage)
	}
}

// A fold is one run of foldShard's function and what it came to.
type fold struct {
	log    *Log
	lane   *lane
	most   int          // cells
	cells  []*looseCell // in hand
	live   []*looseCell // of these, those that were not folded
	gone   []*looseCell // and those that need nothing but to be removed
	info   FoldInfo
	damage error
}

// run puts the appends of the oldest cells into tx. It starts anew in each run: the
// cells may be gone because another process folded them.
func (f *fold) run(tx *Tx) error {
	*f = fold{log: f.log, lane: f.lane, most: f.most, info: FoldInfo{Shard: f.lane.shard}}
	if err := f.read(tx.ctx); err != nil {
		return err
	}
	if err := f.sort(tx); err != nil {
		return err
	}
	var list []*looseAppend
	for _, c := range f.live {
		for _, one := range c.commits {
			list = append(list, &looseAppend{commit: one, lane: f.lane, cell: c})
		}
	}
	slices.SortFunc(list, func(a, b *looseAppend) int { return a.name().compare(b.name()) })
	return f.place(tx, list)
}

// place puts appends into tx, in their order, and removes the cells with it.
func (f *fold) place(tx *Tx, list []*looseAppend) error {
	carried := make(map[*looseCell]bool) // whose key is in the commit
	for _, a := range list {
		repeated, err := f.repeated(tx, a)
		if err != nil {
			return err
		}
		if repeated || len(a.commit.events) == 0 {
			continue
		}
		part := relaxed{id: a.commit.id, seen: a.cell.seen, time: a.commit.time, events: len(a.commit.events)}
		if !carried[a.cell] {
			carried[a.cell], part.cell = true, a.cell.looseName
		}
		if err := tx.foldAppend(a.commit, part); err != nil {
			return err
		}
		f.info.Events += part.events
	}
	now := f.log.opts.now().UnixNano()
	for _, a := range list {
		f.info.Lag = max(f.info.Lag, time.Duration(now-a.commit.time))
	}
	f.info.Appends = len(list) - f.info.Repeated
	f.info.Cells = len(f.gone) + len(f.live)
	if len(tx.events) == 0 && len(tx.onces) == 0 { // all of them repeated others
		f.gone = append(f.gone, f.live...)
		return nil
	}
	for _, c := range f.live {
		tx.cells = append(tx.cells, cellUse{key: c.name, seen: c.version, op: driver.Delete})
	}
	return nil
}

// repeated records the id that an append came with, or finds that it was recorded
// before: then the append folds to nothing.
func (f *fold) repeated(tx *Tx, a *looseAppend) (bool, error) {
	for _, o := range a.commit.onces {
		first, _, err := tx.once(o.stream, o.id, o.hash)
		if err != nil {
			return false, err
		}
		if first == nil {
			continue
		}
		f.info.Repeated++
		if first.hash != o.hash {
			f.info.Reused++
			f.log.opts.Logger.Warn("a relaxed append came with an id that is taken by other content; it folds to nothing",
				"stream", o.stream, "id", o.id, "append", a.commit.id.String())
		}
		return true, nil
	}
	return false, nil
}

// foldAppend adds the events of a relaxed append as they are.
func (tx *Tx) foldAppend(c *commit, part relaxed) error {
	tx.relaxed = append(tx.relaxed, part)
	if tx.nested == nil {
		tx.nested = new(nesting)
	}
	tx.nested.metas = append(tx.nested.metas, c.meta)
	for _, e := range c.events {
		if err := tx.grow(shardOf(e.stream, len(tx.log.lanes)), e.size()); err != nil {
			return err
		}
		e.meta, e.part = uint16(len(tx.nested.metas)), uint16(len(tx.relaxed))
		tx.events = append(tx.events, e)
	}
	return nil
}

// sort tells the cells that were folded from those that were not, and makes it a
// condition that these stay so. Those that memory does not know lie between the first
// and the last of them in the index, where few others do.
func (f *fold) sort(tx *Tx) error {
	var old []*looseCell
	for _, c := range f.cells {
		switch tx.lookLoose(f.lane, c.looseName) {
		case cellLive:
			f.live = append(f.live, c)
		case cellFolded:
			f.gone = append(f.gone, c)
		case cellOld:
			old = append(old, c)
		}
	}
	if len(old) == 0 {
		return nil
	}
	first, last := old[0].key(), old[len(old)-1].key()
	folded := make(map[string]bool)
	for k, err := range f.log.driver.Keys(tx.ctx, f.lane.shard, looseKeys, first[:len(first)-1]) {
		if err != nil {
			return err
		}
		if k.Name > last {
			break
		}
		folded[k.Name] = true
	}
	for _, c := range old {
		if folded[c.key()] {
			f.gone = append(f.gone, c)
		} else {
			f.live = append(f.live, c)
		}
	}
	return nil
}

// What memory knows of a cell.
type cellState int

const (
	cellLive    cellState = iota // it was not folded
	cellFolded                   // it was
	cellPending                  // this process is about to fold it
	cellOld                      // the index has to be asked
)

// lookLoose tells what memory knows of a cell, and makes it a condition that nobody
// folds it from now on. That it was folded can only have happened behind the revision
// that it saw, and not long before its time: mostly the window knows.
func (tx *Tx) lookLoose(ln *lane, n looseName) cellState {
	key := n.key()
	tx.log.mu.Lock()
	defer tx.log.mu.Unlock()
	m, recent := ln.window.recent(key)
	tx.remember(read{lane: ln, key: key, rev: max(ln.tail, m.rev), early: m.rev > ln.tail, epoch: ln.epoch})
	switch {
	case recent && m.rev > ln.tail:
		return cellPending
	case recent:
		return cellFolded
	case n.seen >= ln.window.floor || ln.tooYoung(key, tx.surely(time.Unix(0, n.time))):
		return cellLive
	}
	return cellOld
}

// sweep removes the cells that need nothing else. Of a cell that somebody else
// removes meanwhile the others are left for the next time.
func (f *fold) sweep(ctx context.Context) error {
	if len(f.gone) == 0 {
		return nil
	}
	ops := make([]driver.CellOp, len(f.gone))
	for i, c := range f.gone {
		ops[i] = driver.CellOp{Op: driver.Delete, If: &c.version, Cell: driver.Cell{Key: c.name}}
	}
	err := f.log.driver.Write(ctx, driver.Write{ID: newID(), Cells: ops})
	if errors.As(err, new(*driver.CellError)) || errors.Is(err, ErrUnknown) {
		f.info.More = true
		return nil
	}
	return err
}

func (f *fold) tell() {
	if h := f.log.opts.Hooks.Fold; h != nil {
		h(f.info)
	}
}
