package eventlog

import (
	"fmt"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// member returns what the transaction stands for in the lanes: nil when it
// neither read nor wrote anything.
func (tx *Tx) member(write bool) (*member, error) {
	m := &tx.room.member
	m.parts, m.reads, m.write = m.room.parts[:0], tx.reads, write && tx.writes()
	if m.write {
		m.beside = tx.beside
		if err := tx.meta.check(); err != nil {
			return nil, err
		}
		tx.addCommits(m)
	}
	m.cells = make([]cellUse, 0, len(tx.cells))
	for _, u := range tx.cells {
		if !m.write {
			u.op, u.value = driver.Check, nil
		}
		m.cells = append(m.cells, u)
	}
	for _, r := range tx.reads {
		m.stand(r.lane)
	}
	for _, ln := range tx.guests {
		m.stand(ln)
	}
	if len(m.parts) == 0 {
		return nil, nil
	}
	m.done = make(chan error, 1)
	return m, tx.measure(m)
}

func (tx *Tx) writes() bool {
	return len(tx.events) > 0 || len(tx.onces) > 0 || len(tx.tables) > 0 || len(tx.beside) > 0 ||
		slices.ContainsFunc(tx.cells, func(u cellUse) bool { return u.op != driver.Check })
}

// stand makes sure that m has a part in a lane.
func (m *member) stand(ln *lane) *part {
	for _, p := range m.parts {
		if p.lane == ln {
			return p
		}
	}
	p := &m.room.part
	if len(m.parts) > 0 {
		p = new(part)
	}
	p.lane = ln
	m.parts = append(m.parts, p)
	return p
}

// addCommits spreads what was written over the shards.
func (tx *Tx) addCommits(m *member) {
	n := len(tx.log.lanes)
	if len(tx.sizes) == 1 && len(tx.events) > 0 {
		c := tx.commit(m, int(tx.sizes[0].shard))
		c.events, c.relaxed = tx.events, tx.relaxed
	} else {
		tx.spreadEvents(m)
	}
	for _, o := range tx.onces {
		c := tx.commit(m, shardOf(o.stream, n))
		c.onces = append(c.onces, o)
	}
	for _, t := range tx.tables {
		c := tx.commit(m, tableShard(t, n))
		c.tables = append(c.tables, t)
	}
	for _, u := range tx.cells {
		if u.op != driver.Check && len(m.parts) == 0 {
			tx.commit(m, tableShard(tableOf(u.key), n)) // to stand for the write
		}
	}
	if len(tx.beside) > 0 && len(m.parts) == 0 {
		home, ok := tx.Shard()
		if !ok {
			home = int(tx.id[len(tx.id)-3]) % n // anywhere
		}
		tx.commit(m, home)
	}
	if tx.nested != nil && len(tx.nested.metas) > 0 {
		tabulate(append([]Meta{tx.meta}, tx.nested.metas...), m.commits())
	}
}

// commits returns those of m.
func (m *member) commits() (list []*commit) {
	for _, p := range m.parts {
		if p.commit != nil {
			list = append(list, p.commit)
		}
	}
	return list
}

// commit returns that of m in a shard.
func (tx *Tx) commit(m *member, shard int) *commit {
	p := m.stand(tx.log.lanes[shard])
	if p.commit == nil {
		p.commit = &m.room.commit
		if len(m.parts) > 1 {
			p.commit = new(commit)
		}
		p.commit.id, p.commit.meta = tx.id, tx.meta
	}
	return p.commit
}

func (tx *Tx) spreadEvents(m *member) {
	counts := make([]int, len(tx.log.lanes))
	for i := range tx.events {
		counts[shardOf(tx.events[i].stream, len(counts))]++
	}
	for i := range tx.events {
		shard := shardOf(tx.events[i].stream, len(counts))
		c := tx.commit(m, shard)
		if c.events == nil {
			c.events = make([]event, 0, counts[shard])
		}
		c.events = append(c.events, tx.events[i])
	}
}

// measure prepares m's commits for their places and holds them against the
// limits.
func (tx *Tx) measure(m *member) error {
	for _, p := range m.parts {
		if p.commit == nil {
			continue
		}
		var spans []streamSpan
		if p.commit == &m.room.commit {
			spans, p.keys, p.was = m.room.spans[:0], m.room.keys[:0], m.room.was[:0]
		}
		p.spans = p.commit.streams(spans)
		p.keys = p.commit.appendKeys(p.keys, p.spans, 0, tx.log.opts.Index)
		if n := len(p.keys); n > driver.MaxCommitKeys {
			return fmt.Errorf("%w: %d streams, tags and ids in shard %d, at most %d", ErrTooLarge, n, p.lane.shard, driver.MaxCommitKeys)
		}
		size := p.commit.size() + namesSize(p.keys)
		if size > MaxCommit {
			return fmt.Errorf("%w: commit of %d bytes with its index keys in shard %d, at most %d", ErrTooLarge, size, p.lane.shard, MaxCommit)
		}
		m.size += size
	}
	for _, u := range m.cells {
		m.size += len(u.key) + len(u.value)
	}
	if m.size > MaxTx {
		return fmt.Errorf("%w: transaction of %d bytes with its index keys, at most %d", ErrTooLarge, m.size, MaxTx)
	}
	return nil
}

// namesSize is the length of all names, escaped: the limit of a commit leaves
// room for them in what the smallest store takes.
func namesSize(keys []driver.Key) (n int) {
	for _, k := range keys {
		n += driver.EscapedLen(k.Name)
	}
	return n
}
