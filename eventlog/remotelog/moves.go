package remotelog

import (
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/seal"
)

// passes reports whether a batch may be put behind all that is there and all that is
// under way: that is known, there is room to tell of it, and none of it carries a name
// that the batch excludes, or is later than latest.
func (t *turns) passes(ln *lane, b *driver.Batch, latest int64, room *int) bool {
	switch {
	case !t.chains || b.First > ln.ahead+1:
		return false
	case b.First == ln.ahead+1:
		return true
	}
	defer clear(t.names) // they are part of a frame
	excluded := func(name string) bool { return slices.Contains(b.Unless, name) }
	if len(b.Unless) > fewNames {
		for _, name := range b.Unless {
			t.names[name] = struct{}{}
		}
		excluded = func(name string) bool { _, ok := t.names[name]; return ok }
	}
	return ln.recent.each(b.First, ln.ahead, func(c *driver.Commit) bool {
		*room -= commitCost
		for i := range c.Keys {
			*room -= len(c.Keys[i].Name) + keyCost
			if excluded(c.Keys[i].Name) {
				return false
			}
		}
		return *room >= 0 && seal.Passable(c.Time, latest)
	})
}

// fewNames are looked through one by one.
const fewNames = 16

// move puts the batches of a Write that may pass behind all that is there and all that
// is under way.
func (t *turns) move(w *driver.Write) []driver.Moved {
	n := 0
	for i := range w.Batches {
		n += int(t.lane(w.Batches[i].Shard).ahead + 1 - w.Batches[i].First)
	}
	room, passed := make([]driver.Commit, 0, n), make([][]driver.Commit, len(w.Batches))
	for i := range w.Batches {
		ln, start := t.lane(w.Batches[i].Shard), len(room)
		ln.recent.each(w.Batches[i].First, ln.ahead, func(c *driver.Commit) bool {
			room = append(room, driver.Commit{Revision: c.Revision, Keys: c.Keys, Time: c.Time})
			return true
		})
		passed[i] = room[start:len(room):len(room)]
	}
	return seal.Move(w.Batches, passed)
}
