package remotelog

import "github.com/rollforward/rollforward/eventlog/driver"

// A lane is how it stands with a shard.
type lane struct {
	tail    driver.Revision // at least; exact where Writes chain
	ahead   driver.Revision // where it will be when all that is under way succeeds
	flights int             // Writes with commits that are with the store
	turn    *party          // for whom it is kept free
	waiting int             // Writes in line that want it
	asked   uint64          // the last refusal of a Write that wants it
	recent  recent          // up to ahead, or to where one failed
}

// lane returns a shard's lane. The caller holds the lock, as of all that follows.
func (t *turns) lane(shard int) *lane {
	ln := t.lanes[shard]
	if ln == nil {
		ln = new(lane)
		t.lanes[shard] = ln
	}
	return ln
}

// fresh is the lane of a shard that nobody has wanted yet. It does not change.
var fresh lane

// How it stands with a batch.
type standing int

const (
	free  standing = iota
	stale          // it does not know all, or stands behind what has failed
	early          // what is under way has to be decided first
)

func (t *turns) stands(ln *lane, b *driver.Batch) standing {
	named := b.Behind != [16]byte{}
	switch {
	case named && (!t.chains || !ln.knows(b)):
		return stale
	case b.First <= ln.ahead, t.chains && !named && b.First > ln.ahead+1:
		return stale
	case ln.flights > 0 && !named: // it claims that what is under way is durable
		return early
	}
	return free
}

// knows reports whether the Write that a batch stands behind is where it says.
func (ln *lane) knows(b *driver.Batch) bool {
	return b.Behind == [16]byte{} || b.First-1 <= ln.ahead && ln.recent.by(b.Behind, b.First-1)
}

// learn asks the store for the tails of shards that nobody has written to since it was
// opened. Where Writes chain they are exact from then on: a Write is not admitted to a
// place that is taken, so what fails leaves its place free for nobody but who is told.
func (t *turns) learn(w *driver.Write) error {
	for i := range w.Batches {
		shard := w.Batches[i].Shard
		t.mu.Lock()
		known := t.lanes[shard] != nil
		t.mu.Unlock()
		if known {
			continue
		}
		tail, err := t.tails(shard)
		if err != nil {
			return err
		}
		t.mu.Lock()
		if t.lanes[shard] == nil && tail > 0 {
			t.lanes[shard] = &lane{tail: tail, ahead: tail}
		}
		t.mu.Unlock()
	}
	return nil
}

// forget drops the lane of a shard to which nothing was ever written, when nobody wants
// it any more: clients may name any shard.
func (t *turns) forget(shard int) {
	if ln := t.lanes[shard]; ln != nil && ln.tail == 0 && ln.flights == 0 && ln.turn == nil && ln.waiting == 0 {
		delete(t.lanes, shard)
	}
}
