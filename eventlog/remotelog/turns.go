package remotelog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
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
	names  uint64
	asked  uint64 // refusals
	told   []decision

	holder *party    // whose turn it is; nil: nobody's
	kept   []int     // shards that are kept free for it
	until  time.Time // it is awaited until then
	timer  *time.Timer
}

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

// A flight is a Write that was admitted to the store.
type flight struct {
	before  *flight       // the one admitted before, until this one is started
	started chan struct{} // closed when the store has it
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
	lent    bool        // its memory is somebody else's, or holds more than its commits
	flight  *flight     // when it was admitted
	decided func(error) // told once if it has to wait; nil: it may go on
}

func newTurns(chains bool, tails func(shard int) (driver.Revision, error)) *turns {
	t := &turns{chains: chains, tails: tails, lanes: make(map[int]*lane)}
	rand.Read(t.mark[:])
	return t
}

// do brings w to the store when its turn has come: start hands it over, and what start
// returns waits for the answer. The error is the store's, or a refusal that the store
// would give too.
func (t *turns) do(ctx context.Context, p *party, w *driver.Write, start func() (wait func() error)) error {
	decided := make(chan error, 1)
	wt := &waiter{party: p, write: w, lent: true, decided: func(err error) { decided <- err }}
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

// name gives a flight a name that no other one has.
func (t *turns) name() (name [16]byte) {
	t.names++
	copy(name[:], t.mark[:])
	binary.BigEndian.PutUint64(name[8:], t.names)
	return name
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
	refused := -1
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		ln := t.lanes[b.Shard]
		if ln == nil {
			ln = &fresh
		}
		if !holds && (ln.turn != nil || ln.waiting > 0 && !first) {
			return false, nil
		}
		switch t.stands(ln, b) {
		case early:
			return false, nil
		case stale:
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
	t.admit(wt)
	return true, nil
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

// refusal makes that of a Write that comes too late. ok is false when it has to wait
// until what is under way is decided: it cannot be told of it.
func (t *turns) refusal(wt *waiter, refused int) (e *driver.TailError, ok bool) {
	b := &wt.write.Batches[refused]
	e = &driver.TailError{Shard: b.Shard, Tail: t.lane(b.Shard).tail}
	t.asked++
	room := toldNews
	e.News, e.Ahead = make([]driver.Batch, 0, len(wt.party.known)), make([]driver.Flight, 0, len(wt.party.known))
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		ln := t.lane(b.Shard)
		ln.asked = t.asked
		if ln.knows(b) {
			t.tell(e, wt, b.Shard, b.First, &room)
		}
		if told := len(e.Ahead) > 0 && e.Ahead[len(e.Ahead)-1].Batch.Shard == b.Shard; ln.flights > 0 && !told {
			return nil, false
		}
	}
	for shard, rev := range wt.party.known { // it is likely to want them next
		if ln := t.lanes[shard]; ln == nil {
			delete(wt.party.known, shard)
		} else if ln.asked != t.asked {
			t.tell(e, wt, shard, rev+1, &room)
		}
	}
	return e, true
}

// tell adds to a refusal what is new in a shard from a revision on, as far as it is
// kept and there is room.
func (t *turns) tell(e *driver.TailError, wt *waiter, shard int, first driver.Revision, room *int) {
	ln := t.lane(shard)
	if first <= ln.tail+1 {
		if commits, ok := ln.recent.from(first, ln.tail); ok && costs(commits) <= *room {
			*room -= costs(commits)
			e.News = append(e.News, driver.Batch{Shard: shard, First: first, Commits: commits})
			wt.party.known[shard] = ln.tail
		} else if first <= ln.tail {
			return
		}
	}
	if ln.flights == 0 || !t.chains || !wt.write.TakesAhead {
		return
	}
	e.Ahead, _ = ln.recent.flights(e.Ahead, shard, max(first, ln.tail+1), ln.ahead, room)
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
			ln.tail = max(ln.tail, b.First-1+driver.Revision(len(b.Commits)))
			ln.recent.land(ln.tail)
			p.known[b.Shard] = ln.tail
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

// forget drops the lane of a shard to which nothing was ever written, when nobody wants
// it any more: clients may name any shard.
func (t *turns) forget(shard int) {
	if ln := t.lanes[shard]; ln != nil && ln.tail == 0 && ln.flights == 0 && ln.turn == nil && ln.waiting == 0 {
		delete(t.lanes, shard)
	}
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
