package remotelog

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// turns lets the writers of several processes take turns.
//
// A Write that does not know all commits of its shards, durable or under way, is going
// to lose. It stands in line, and who is first in line gets the turn: its refusal, with
// the commits that it does not know, and the shards for about the time in which it
// comes back. It does so behind the Writes under way, without waiting for them: so
// while one process's Write is being synced the next one prepares its own, and the
// store syncs several at a time. All others stay in line. Every success costs one
// refusal, however many processes there are, and each process has its turn. Who wants
// shards that nobody else wants waits for nobody.
//
// It is a courtesy that decides nothing but which Write stands behind which: what holds
// is decided by the store.
type turns struct {
	mu     sync.Mutex
	chains bool // the store decides on Writes in the order in which they are started
	tails  func(shard int) (driver.Revision, error)
	lanes  map[int]*lane
	line   []*waiter
	others int     // processes beside the owner's own
	last   *flight // the one that was admitted last
	mark   [8]byte // of the names of flights: nobody else gives such
	flown  uint64
	asked  uint64              // refusals
	names  map[string]struct{} // of passes
	told   []decision

	holder *party    // whose turn it is; nil: nobody's
	kept   []int     // shards that are kept free for it
	until  time.Time // it is awaited until then
	timer  *time.Timer
}

// A party is a process that writes.
type party struct {
	gone bool
	lost int  // times that it came back too late or lost, since it last won
	away bool // it was refused and has not come back

	known map[int]driver.Revision // what it knows of shards that somebody has written
}

// The turn is kept for who was refused for a short time, about that in which a
// process on the same machine comes back; so one that wanted only this place, and does
// not come back, holds up nobody for long. Who comes too late again and again gets
// more: so also a slow one has its turn.
const (
	shortTurn = 2 * time.Millisecond
	longTurn  = 100 * time.Millisecond
	lostTurns = 4 // losses that double the time
)

func newParty() *party { return &party{known: make(map[int]driver.Revision)} }

func (p *party) turn() time.Duration { return min(shortTurn<<min(p.lost/lostTurns, 6), longTurn) }

// A waiter is a Write that stands in line.
type waiter struct {
	party   *party
	write   *driver.Write
	free    bool           // it may be moved
	lent    bool           // its memory is somebody else's, or holds more than its commits
	moved   []driver.Moved // when it was admitted
	flight  *flight        // when it was admitted
	decided func(error)    // told once if it has to wait; nil: it may go on
}

func newTurns(chains bool, tails func(shard int) (driver.Revision, error)) *turns {
	t := &turns{chains: chains, tails: tails, lanes: make(map[int]*lane), names: make(map[string]struct{})}
	rand.Read(t.mark[:])
	return t
}

// do brings a Write to the store when its turn has come: start hands it over, and what
// start returns waits for the answer. The error is the store's, or a refusal that the
// store would give too.
func (t *turns) do(ctx context.Context, wt *waiter, start func() (wait func() error)) error {
	decided := make(chan error, 1)
	wt.lent, wt.decided = true, func(err error) { decided <- err }
	if now, err := t.ask(wt); now {
		if err != nil {
			return err
		}
		return t.carry(wt, start)
	}
	select {
	case err := <-decided:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		if t.withdraw(wt) {
			return ctx.Err()
		}
		if err := <-decided; err != nil { // just now
			return ctx.Err()
		}
	}
	return t.carry(wt, start)
}

// concerned reports whether w commits, or stands behind a Write under way.
func concerned(w *driver.Write) bool {
	for i := range w.Batches {
		if len(w.Batches[i].Commits) > 0 || w.Batches[i].Behind != [16]byte{} {
			return true
		}
	}
	return false
}

// join says that a further process writes; part that it is gone.
func (t *turns) join() *party {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.others++
	return newParty()
}

func (t *turns) part(p *party) {
	t.mu.Lock()
	defer t.unlock()
	if p.gone {
		return
	}
	t.others--
	p.gone = true
	for _, ln := range t.lanes {
		if t.others == 0 {
			ln.recent = recent{}
		}
	}
	if t.holder == p {
		t.release()
	}
	for i := len(t.line) - 1; i >= 0; i-- { // nobody waits for these
		if wt := t.line[i]; wt.party == p {
			t.told = append(t.told, decision{wt.decided, errGone})
			t.drop(i)
		}
	}
	t.advance()
}

// unlock gives up the lock and tells those who were decided on.
func (t *turns) unlock() {
	list := t.told
	t.told = nil
	t.mu.Unlock()
	for _, d := range list {
		d.decided(d.err)
	}
}

// ask decides on a Write at once, or lets it wait for its turn and be told.
func (t *turns) ask(wt *waiter) (decided bool, err error) {
	if !concerned(wt.write) {
		return true, nil
	}
	if err := t.learn(wt.write); err != nil {
		return true, err
	}
	t.mu.Lock()
	defer t.unlock()
	p := wt.party
	if p.away {
		p.away = false
		p.lost++
	}
	for i := range wt.write.Batches {
		if b := &wt.write.Batches[i]; b.Behind == [16]byte{} && t.lanes[b.Shard] != nil {
			p.known[b.Shard] = b.First - 1
		}
	}
	if decided, err = t.try(wt, len(t.line) == 0); !decided {
		t.wait(wt)
	}
	t.advance() // its turn may have ended
	return decided, err
}

// A decision on a Write is to be told when the lock is free.
type decision struct {
	decided func(error)
	err     error
}

// try decides on a Write: it may go on, or is refused and has the turn. Any other one
// stands in line. first says that nobody in line is ahead of it.
func (t *turns) try(wt *waiter, first bool) (decided bool, err error) {
	if wt.party.gone {
		return true, errGone
	}
	holds := t.holder == wt.party
	refused, room := -1, toldNews
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		ln := t.lanes[b.Shard]
		if ln == nil {
			ln = &fresh
		}
		if !holds && (ln.turn != nil || ln.waiting > 0 && !first) {
			return false, nil
		}
		switch s := t.stands(ln, b); {
		case s == free || wt.free && t.passes(ln, b, wt.write.Latest, &room):
		case s == early:
			return false, nil
		default:
			if refused < 0 {
				refused = i
			}
		}
	}
	if refused >= 0 {
		if !holds && (t.holder != nil || !first) {
			return false, nil
		}
		e, ok := t.refusal(wt, refused)
		if !ok {
			return false, nil
		}
		t.give(wt)
		return true, e
	}
	if wt.free {
		wt.moved = t.move(wt.write)
	}
	t.admit(wt)
	return true, nil
}

// wait puts wt into line.
func (t *turns) wait(wt *waiter) {
	t.line = append(t.line, wt)
	for i := range wt.write.Batches {
		t.lane(wt.write.Batches[i].Shard).waiting++
	}
	t.arm()
}

// drop takes the i-th out of line.
func (t *turns) drop(i int) {
	wt := t.line[i]
	t.line = slices.Delete(t.line, i, i+1)
	for i := range wt.write.Batches {
		shard := wt.write.Batches[i].Shard
		t.lane(shard).waiting--
		t.forget(shard)
	}
}

// arm makes sure that a turn that somebody waits for ends.
func (t *turns) arm() {
	if t.holder == nil || len(t.line) == 0 {
		return
	}
	if t.timer == nil {
		t.timer = time.AfterFunc(time.Until(t.until), t.expire)
	} else {
		t.timer.Reset(time.Until(t.until))
	}
}

// expire ends a turn that was not taken in time.
func (t *turns) expire() {
	t.mu.Lock()
	defer t.unlock()
	switch {
	case t.holder == nil:
	case time.Now().Before(t.until):
		t.arm()
	default:
		t.release()
		t.advance()
	}
}

// release ends the turn.
func (t *turns) release() {
	for _, shard := range t.kept {
		t.lane(shard).turn = nil
		t.forget(shard)
	}
	t.holder, t.kept = nil, t.kept[:0]
}

// give gives the turn to the writer of a Write that is refused.
func (t *turns) give(wt *waiter) {
	p, until := wt.party, time.Now().Add(wt.party.turn())
	if t.holder == p { // whoever has it and loses again does not get more time
		until = t.until
	}
	t.release()
	t.holder, t.until, p.away = p, until, true
	for i := range wt.write.Batches {
		shard := wt.write.Batches[i].Shard
		if ln := t.lane(shard); ln.turn == nil {
			ln.turn = p
			t.kept = append(t.kept, shard)
		}
	}
	t.arm()
}

// advance decides on those in line.
func (t *turns) advance() {
	for i := 0; i < len(t.line); {
		wt := t.line[i]
		first := i == 0 && t.holder == nil
		if !first && t.holder != wt.party {
			if t.holder != nil {
				i++
				continue
			}
			return // the first one waits for a shard
		}
		decided, err := t.try(wt, first)
		if !decided {
			i++
			continue
		}
		t.told = append(t.told, decision{wt.decided, err})
		t.drop(i)
		i = 0
	}
}

// withdraw takes a Write whose caller has gone out of the line, if it is there.
func (t *turns) withdraw(wt *waiter) bool {
	t.mu.Lock()
	defer t.unlock()
	i := slices.Index(t.line, wt)
	if i < 0 {
		return false
	}
	t.drop(i)
	t.advance()
	return true
}
