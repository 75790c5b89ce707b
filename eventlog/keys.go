package eventlog

import (
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// keys returns the index entries of c at revision rev, each name once, at its
// last position.
func (c *commit) keys(rev driver.Revision, ix Index) []driver.Key {
	return c.appendKeys(nil, c.streams(nil), rev, ix)
}

// appendKeys is keys for a commit with these streams. It uses the memory of keys,
// if that is enough.
func (c *commit) appendKeys(keys []driver.Key, spans []streamSpan, rev driver.Revision, ix Index) []driver.Key {
	if n := len(spans) + c.names(ix); n > cap(keys) {
		keys = make([]driver.Key, 0, n)
	}
	for _, s := range spans {
		keys = append(keys, driver.Key{Name: s.name, Pos: s.last})
	}
	at := len(keys)
	add := func(name string) {
		if len(keys)-at < 32 {
			for _, k := range keys[at:] {
				if k.Name == name {
					return
				}
			}
		}
		keys = append(keys, driver.Key{Name: name, Pos: uint64(rev)})
	}
	for i := range c.events {
		for _, t := range c.events[i].tags {
			add(tagKey(t))
		}
		if ix.Types {
			add(typeKey(c.events[i].typ))
		}
	}
	var last ID
	chain := func(id ID) {
		if !id.IsZero() && id != last {
			add(correlationKey(id))
			last = id
		}
	}
	for i := range len(c.metas) + 1 {
		if m := c.metaAt(i); len(c.relaxed) == 0 {
			chain(c.chain(m, 0, ix))
		} else {
			chain(m.Correlation)
		}
	}
	for i := range c.events {
		if e := &c.events[i]; e.part > 0 && ix.Correlations {
			chain(c.chain(c.metaAt(int(e.meta)), e.part, ix))
		}
	}
	for i := range c.relaxed {
		if cell := c.relaxed[i].cell; !cell.id.IsZero() {
			add(cell.key())
		}
	}
	for _, o := range c.onces {
		add(onceKey(o.stream, o.id))
	}
	for _, t := range c.tables {
		add(tableKey(t))
	}
	return unique(keys, at)
}

// unique drops repeated names behind index at, where add gave up looking.
func unique(keys []driver.Key, at int) []driver.Key {
	if len(keys)-at < 32 {
		return keys
	}
	seen := make(map[string]bool, len(keys)-at)
	return append(keys[:at], slices.DeleteFunc(keys[at:], func(k driver.Key) bool {
		if seen[k.Name] {
			return true
		}
		seen[k.Name] = true
		return false
	})...)
}

// names bounds the number of keys beside those of streams from above.
func (c *commit) names(ix Index) int {
	n := len(c.onces) + len(c.tables) + len(c.metas) + len(c.relaxed)
	if ix.Correlations || !c.meta.Correlation.IsZero() {
		n++
	}
	for i := range c.events {
		n += len(c.events[i].tags)
	}
	if ix.Types {
		n += min(len(c.events), 8) // most are repeated
	}
	return n
}

// chain is what those events of c belong to that have m: where m names none they
// start one, which is known by the commit's id, or that of the relaxed append, if
// the log indexes that.
func (c *commit) chain(m *Meta, part uint16, ix Index) ID {
	switch {
	case !m.Correlation.IsZero() || !ix.Correlations:
		return m.Correlation
	case part > 0:
		return c.relaxed[part-1].id
	}
	return c.id
}
