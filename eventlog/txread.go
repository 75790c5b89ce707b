package eventlog

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Read yields the records that q selects, with those that this transaction
// appends at the end, and makes what was read a condition of the transaction:
// for a stream, a tag or a correlation that nothing is added to it, for
// anything else that nothing is added to the shards. A read of several shards
// makes all of them take part in the write; a Query that names neither a stream
// nor Shards is therefore refused: name [Log.ShardOf] a stream or a {group}, or
// all shards, on purpose.
func (tx *Tx) Read(q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := tx.read(q, yield); err != nil && err != errStop {
			yield(Record{}, fmt.Errorf("eventlog: read: %w", err))
		}
	}
}

func (tx *Tx) read(q Query, yield func(Record, error) bool) error {
	switch {
	case tx.over:
		return errOver
	case q.Follow:
		return errors.New("a transaction cannot follow")
	case q.Timeline:
		return errors.New("a transaction reads what is folded, not a timeline")
	case q.Stream == "" && len(q.Shards) == 0:
		return errors.New("a read inside a transaction names its stream or its shards")
	}
	if tx.absent(&q) {
		return nil
	}
	p, err := tx.log.plan(q)
	if err != nil {
		return err
	}
	out := &output{plan: p, yield: yield}
	var cursors []*cursor
	for _, s := range p.shards {
		sight, err := tx.look(tx.log.lanes[s], p.key)
		if err != nil {
			return err
		}
		c := p.cursor(s, sight)
		c.done = tx.tooYoung(p, sight)
		if err := p.seek(tx.ctx, c); err != nil {
			return err
		}
		cursors = append(cursors, c)
	}
	own, err := tx.own(p)
	if err != nil {
		return err
	}
	if p.Backward {
		if err := out.records(own); err != nil {
			return err
		}
		return merge(tx.ctx, cursors, out)
	}
	if err := merge(tx.ctx, cursors, out); err != nil {
		return err
	}
	return out.records(own)
}

// tooYoung reports that no durable commit can carry the plan's tag.
func (tx *Tx) tooYoung(p *plan, s *sight) bool {
	if p.Tag == "" || p.Born.IsZero() || tx.view {
		return false
	}
	tx.log.mu.Lock()
	defer tx.log.mu.Unlock()
	return s.lane.tooYoung(p.key, tx.surely(p.Born))
}

// surely is a time before which nothing that came behind born is stamped: who gave
// it that time, and who wrote later, may have clocks that differ, and each may be
// ahead of its own by what it had seen.
func (tx *Tx) surely(born time.Time) time.Time { return born.Add(-2 * tx.log.opts.MaxSkew) }

// absent answers a read of one young tag in one shard from memory, if nothing has
// it: most reads of the steps' lives are of that kind. It makes the same condition.
func (tx *Tx) absent(q *Query) bool {
	if q.Tag == "" || q.Born.IsZero() || q.Stream != "" || len(q.Shards) != 1 || tx.view {
		return false
	}
	if (&plan{Query: *q, log: tx.log}).check() != nil {
		return false
	}
	if tx.hasTag(q.Tag) {
		return false
	}
	ln, key := tx.log.lanes[q.Shards[0]], tagKey(q.Tag)
	tx.log.mu.Lock()
	defer tx.log.mu.Unlock()
	if _, hot := tx.log.turns[key]; hot || !ln.tooYoung(key, tx.surely(q.Born)) {
		return false
	}
	tx.reads = append(tx.reads, read{lane: ln, key: key, rev: ln.tail, epoch: ln.epoch})
	return true
}

// look returns what the transaction may see of a key in a lane, and makes that
// a condition.
func (tx *Tx) look(ln *lane, key string) (*sight, error) {
	if tx.over {
		return &sight{}, errOver
	}
	if tx.view {
		return tx.lookDurable(ln, key)
	}
	l := tx.log
	if tx.turn == nil && key != "" {
		tx.takeTurn(tx.ctx, key)
	}
	l.mu.Lock()
	s, err := ln.look(key)
	l.mu.Unlock()
	if err != nil {
		return &sight{}, err
	}
	tx.remember(s.read(key))
	return &s, nil
}

// lookDurable is look for a View: of each lane it sees the durable commits up
// to the tail as it was when it first looked.
func (tx *Tx) lookDurable(ln *lane, key string) (*sight, error) {
	for i := range tx.reads {
		if tx.reads[i].lane == ln {
			tx.remember(read{lane: ln, key: key, rev: tx.reads[i].rev})
			return &sight{lane: ln, tail: tx.reads[i].rev, view: true}, nil
		}
	}
	tail, err := tx.log.driver.Tail(tx.ctx, ln.shard)
	if err != nil {
		return &sight{}, err
	}
	tx.remember(read{lane: ln, key: key, rev: tail})
	return &sight{lane: ln, tail: tail, view: true}, nil
}

// remember adds a condition, unless it stands there already.
func (tx *Tx) remember(r read) {
	for i := max(0, len(tx.reads)-8); i < len(tx.reads); i++ {
		if tx.reads[i] == r {
			return
		}
	}
	tx.reads = append(tx.reads, r)
}

// head returns the version of a stream, this transaction's own events not
// counted.
func (tx *Tx) head(stream string) (uint64, error) {
	ln := tx.log.lanes[shardOf(stream, len(tx.log.lanes))]
	s, err := tx.look(ln, stream)
	if err != nil || s.known {
		return s.head, err
	}
	version, err := tx.log.headAt(tx.ctx, ln.shard, stream, s.tail)
	if err == nil {
		tx.learn(s, stream, version)
	}
	return version, err
}

// learn notes a stream's version as the transaction saw it.
func (tx *Tx) learn(s *sight, stream string, version uint64) {
	if tx.view || s.known {
		return
	}
	tx.log.mu.Lock()
	defer tx.log.mu.Unlock()
	s.lane.window.learn(stream, version, s.tail)
}

// commits yields the commits with key that the transaction may see in a lane.
func (tx *Tx) commits(ln *lane, key string, r driver.Range) iter.Seq2[*placed, error] {
	return func(yield func(*placed, error) bool) {
		s, err := tx.look(ln, key)
		if err != nil {
			yield(nil, err)
			return
		}
		c := &cursor{log: tx.log, shard: ln.shard, key: key, left: r, sight: s, limit: firstPage}
		if r.Limit > 0 {
			c.limit = r.Limit
		}
		for n := 0; r.Limit == 0 || n < r.Limit; n++ {
			at, err := c.peek(tx.ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if at == nil || !yield(at, nil) {
				return
			}
			c.next()
		}
	}
}

// own returns the transaction's own events that match, in reading order. They
// have the place that they would get now.
func (tx *Tx) own(p *plan) ([]Record, error) {
	if len(tx.events) == 0 {
		return nil, nil
	}
	if p.Tag != "" && !tx.hasTag(p.Tag) {
		return nil, nil
	}
	metas := tx.scopeMetas()
	byShard := make(map[int]*placed)
	heads := make(map[string]uint64)
	for i := range tx.ownEvents(p.Stream, 0) {
		e := tx.events[i]
		shard := shardOf(e.stream, len(tx.log.lanes))
		if !slices.Contains(p.shards, shard) {
			continue
		}
		c, ok := byShard[shard]
		if !ok {
			c = tx.ownCommit(shard, metas)
			byShard[shard] = c
		}
		head, ok := heads[e.stream]
		if !ok {
			var err error
			if head, err = tx.head(e.stream); err != nil {
				return nil, err
			}
		}
		e.version = head + 1
		heads[e.stream] = e.version
		c.events = append(c.events, e)
	}
	var out []Record
	for _, shard := range p.shards {
		if c := byShard[shard]; c != nil {
			var err error
			if out, err = p.records(out, c); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// ownCommit is what the transaction would put into a shard now, without events.
func (tx *Tx) ownCommit(shard int, metas []Meta) *placed {
	tx.log.mu.Lock()
	next := tx.log.lanes[shard].next + 1
	tx.log.mu.Unlock()
	return &placed{&commit{id: tx.id, meta: tx.meta, metas: metas, time: tx.time()}, shard, next}
}

// verify reports whether all that a View read was true at one moment: when
// verify began. A View of one shard saw a state of it; for several it is enough
// that each read is still true.
func (tx *Tx) verify() (bool, error) {
	if len(tx.reads) == 0 && len(tx.cells) <= 1 {
		return true, nil
	}
	single := len(tx.cells) == 0
	for i := range tx.reads {
		// Rows are not read as of a revision, so that there are none is no state
		// of the shard yet.
		rows := strings.HasPrefix(tx.reads[i].key, tableKey(""))
		single = single && tx.reads[i].lane == tx.reads[0].lane && !rows
	}
	if single {
		return true, nil
	}
	for i := range tx.reads {
		if ok, err := tx.reads[i].stands(tx.ctx, tx.log); !ok || err != nil {
			return false, err
		}
	}
	for i := range tx.cells {
		c, err := tx.log.cell(tx.ctx, tx.cells[i].key)
		if err != nil || c.Version != tx.cells[i].seen {
			return false, err
		}
	}
	return true, nil
}
