package eventlog

import (
	"errors"
	"fmt"
	"slices"
)

// The events of a commit mostly share one Meta. When they do not, the commit has
// a table of them, each once and in the order of first use, and each event has
// its place there.

const (
	metaIndexSize = 3 // bytes of an event's place in the table, at most
	eventMinSize  = 7 // bytes of an event with such a place, at least
)

// metaAt returns one of the metas of c.
func (c *commit) metaAt(i int) *Meta {
	if i == 0 {
		return &c.meta
	}
	return &c.metas[i-1]
}

// decodeMetas reads the table. Each of it is used by an event, so that hostile
// bytes cannot make a reader allocate more than a multiple of their length.
func (c *commit) decodeMetas(d *decoder) {
	next, folds := c.meta.decode(d)
	for n := 2; next; n++ {
		if len(d.b) < n*eventMinSize {
			d.fail(errors.New("more metadata than events"))
			return
		}
		var m Meta
		var other bool
		if next, other = m.decode(d); other {
			d.fail(errors.New("relaxed appends in the midst of metadata"))
			return
		}
		c.metas = append(c.metas, m)
	}
	if folds {
		c.decodeRelaxed(d)
	}
}

// checkMetas refuses a table that is not used in its order.
func (c *commit) checkMetas() error {
	if len(c.metas) == 0 {
		return nil
	}
	used := 0
	for i := range c.events {
		at := int(c.events[i].meta)
		if at > used || at > len(c.metas) {
			return fmt.Errorf("event with metadata %d, behind %d of %d", at, used, len(c.metas)+1)
		}
		used = max(used, at+1)
	}
	if used <= len(c.metas) {
		return fmt.Errorf("metadata of no event: %d of %d are used", used, len(c.metas)+1)
	}
	return nil
}

// A metaKey is the same for metas that are stored the same.
type metaKey struct {
	correlation, causation ID
	actor, traceparent     string
	extra                  string
}

func (m *Meta) key() metaKey {
	k := metaKey{m.Correlation, m.Causation, m.Actor, m.Traceparent, ""}
	if len(m.Extra) > 0 {
		k.extra = string(m.appendExtra(nil))
	}
	return k
}

// tabulate makes the tables of commits whose events have places in all.
func tabulate(all []Meta, commits []*commit) {
	type place struct {
		in *commit
		at uint16
	}
	same, places := firstEqual(all), make([]place, len(all))
	for _, c := range commits {
		n := uint16(0)
		for i := range c.events {
			e := &c.events[i]
			m := same[e.meta]
			if places[m].in != c {
				places[m] = place{c, n}
				if n == 0 {
					c.meta = all[m]
				} else {
					c.metas = append(c.metas, all[m])
				}
				n++
			}
			e.meta = places[m].at
		}
	}
}

// tidy returns c with each of its metas once, as we write it.
func (c *commit) tidy() *commit {
	if len(c.metas) == 0 {
		return c
	}
	out := *c
	out.metas, out.events = nil, slices.Clone(c.events)
	tabulate(append([]Meta{c.meta}, c.metas...), []*commit{&out})
	return &out
}

// firstEqual returns for each of list the place of the first that is the same.
func firstEqual(list []Meta) []uint16 {
	first := make(map[metaKey]uint16, len(list))
	same := make([]uint16, len(list))
	for i := range list {
		k := list[i].key()
		at, ok := first[k]
		if !ok {
			at = uint16(i)
			first[k] = at
		}
		same[i] = at
	}
	return same
}
