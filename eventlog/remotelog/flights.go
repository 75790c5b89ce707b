package remotelog

import (
	"encoding/binary"
	"errors"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A flight is a Write that was admitted to the store.
type flight struct {
	before  *flight       // the one admitted before, until this one is started
	started chan struct{} // closed when the store has it
}

// carry brings a Write to the store that has been admitted.
func (t *turns) carry(wt *waiter, start func() (wait func() error)) error {
	f := wt.flight
	if f == nil {
		return start()()
	}
	if f.before != nil {
		<-f.before.started
		f.before = nil
	}
	wait := start()
	close(f.started)
	err := wait()
	t.leave(wt.party, wt.write, err)
	return err
}

// admit lets a Write go to the store. Its turn has been used.
func (t *turns) admit(wt *waiter) {
	name := t.name()
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		if len(b.Commits) == 0 {
			continue
		}
		ln := t.lane(b.Shard)
		ln.flights++
		if ln.ahead = b.First - 1 + driver.Revision(len(b.Commits)); t.others > 0 {
			kept := *b
			if wt.lent {
				kept.Commits = clone(b.Commits)
			}
			ln.recent.add(name, &kept)
		}
	}
	wt.flight = &flight{started: make(chan struct{})}
	if t.chains {
		wt.flight.before = t.last
		t.last = wt.flight
	}
	if t.holder == wt.party {
		t.release()
	}
}

// leave notes what the store answered to w.
func (t *turns) leave(p *party, w *driver.Write, err error) {
	t.mu.Lock()
	defer t.unlock()
	var tail *driver.TailError
	switch {
	case err == nil:
		p.away, p.lost = false, 0
		for i := range w.Batches {
			b := &w.Batches[i]
			ln := t.lane(b.Shard)
			p.known[b.Shard] = b.First - 1 + driver.Revision(len(b.Commits))
			ln.tail = max(ln.tail, p.known[b.Shard])
			ln.recent.land(ln.tail)
		}
	case errors.As(err, &tail):
		ln := t.lane(tail.Shard)
		ln.tail = max(ln.tail, tail.Tail)
	}
	t.land(w, err)
}

// land makes way for whoever is next.
func (t *turns) land(w *driver.Write, err error) {
	for i := range w.Batches {
		b := &w.Batches[i]
		ln := t.lane(b.Shard)
		if len(b.Commits) > 0 {
			ln.flights--
			if err != nil { // nobody comes to stand behind it, nor behind what stands behind it
				ln.recent.cut(b.First - 1)
			}
		}
		if ln.flights == 0 {
			ln.ahead = ln.tail
		}
	}
	t.advance()
	for i := range w.Batches {
		t.forget(w.Batches[i].Shard)
	}
}

// name gives a flight a name that no other one has.
func (t *turns) name() (name [16]byte) {
	t.flown++
	copy(name[:], t.mark[:])
	binary.BigEndian.PutUint64(name[8:], t.flown)
	return name
}
