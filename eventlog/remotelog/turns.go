package remotelog

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// turns lets the writers of several processes take turns.
//
// A Write to a shard that is being written by somebody else is going to lose. It
// stands in line, and who is first in line gets the turn: its refusal, with all
// commits of all shards that it does not know, and then the shards for as long as
// it comes back at once, up to a slice of time. All others stay in line. So a
// refusal is paid once a turn and not once a Write, and each process has its turn.
// Who wants shards that nobody else wants waits for nobody.
//
// It is a courtesy that decides nothing: what holds is decided by the store.
type turns struct {
	mu     sync.Mutex
	lanes  map[int]*lane
	line   []*waiter
	others int // processes beside the owner's own

	holder *party    // whose turn it is; nil: nobody's
	kept   []*lane   // that are kept free for it
	began  time.Time // when it first wrote in this turn
	until  time.Time // it is awaited until then
	flying int       // its Writes at the store
	timer  *time.Timer
}

// A lane is how it stands with a shard.
type lane struct {
	tail    driver.Revision // at least; what the store said last
	flight  bool            // a Write is with the store
	turn    *party          // for whom it is kept free
	waiting int             // Writes in line that want it
	recent  recent
}

// A party is a process that writes.
type party struct {
	gone  bool
	lost  int                     // times that it came back too late or lost, since it last won
	away  bool                    // it was refused and has not come back
	known map[int]driver.Revision // what it knows of shards, as far as is known here
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

// Who has written may write again, as long as it comes back soon, for a slice. One
// of 4 ms was not cheaper, and of 6 ms shared out less evenly (measured).
const (
	slice = 2 * time.Millisecond
	soon  = 300 * time.Microsecond
)

func newParty() *party { return &party{known: make(map[int]driver.Revision)} }

func (p *party) turn() time.Duration { return min(shortTurn<<min(p.lost/lostTurns, 6), longTurn) }

// A waiter is a Write that stands in line.
type waiter struct {
	party   *party
	write   *driver.Write
	decided chan error // nil: go on
}

func newTurns() *turns { return &turns{lanes: make(map[int]*lane)} }

// do brings w to the store, store, when its turn has come. The error is the
// store's, or a refusal that the store would give too.
func (t *turns) do(ctx context.Context, p *party, w *driver.Write, store func() error) error {
	if !commits(w) {
		return store()
	}
	if err := t.enter(ctx, p, w); err != nil {
		return err
	}
	err := store()
	t.leave(p, w, err)
	return err
}

func commits(w *driver.Write) bool {
	for i := range w.Batches {
		if len(w.Batches[i].Commits) > 0 {
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
	defer t.mu.Unlock()
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

// enter returns nil when w may go to the store.
func (t *turns) enter(ctx context.Context, p *party, w *driver.Write) error {
	wt := &waiter{party: p, write: w}
	t.mu.Lock()
	if p.away {
		p.away = false
		p.lost++
	}
	for i := range w.Batches {
		p.known[w.Batches[i].Shard] = w.Batches[i].First - 1
	}
	decided, err := t.try(wt, len(t.line) == 0)
	if !decided {
		wt.decided = make(chan error, 1)
		t.wait(wt)
	}
	t.mu.Unlock()
	if decided {
		return err
	}
	select {
	case err := <-wt.decided:
		return err
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case err := <-wt.decided: // just now
		if err == nil {
			t.land(p, w, ctx.Err())
		}
	default:
		t.withdraw(wt)
	}
	return ctx.Err()
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

// try decides on a Write: it may go on, or is refused and has the turn. Any other one
// stands in line. first says that nobody in line is ahead of it.
func (t *turns) try(wt *waiter, first bool) (decided bool, err error) {
	if wt.party.gone {
		return true, errGone
	}
	holds := t.holder == wt.party
	stale := -1
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		ln := t.lane(b.Shard)
		if ln.flight || !holds && (ln.turn != nil || ln.waiting > 0 && !first) {
			return false, nil
		}
		if stale < 0 && b.First <= ln.tail {
			stale = i
		}
	}
	if stale >= 0 {
		if !holds && (t.holder != nil || !first) {
			return false, nil
		}
		return true, t.refuse(wt, stale)
	}
	for i := range wt.write.Batches {
		t.lane(wt.write.Batches[i].Shard).flight = true
	}
	if t.holder == nil && first {
		t.holder, t.began = wt.party, time.Time{}
	}
	if t.holder == wt.party {
		if t.flying++; t.began.IsZero() {
			t.began = time.Now()
		}
	}
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
		t.lane(wt.write.Batches[i].Shard).waiting--
	}
}

// arm makes sure that a turn that somebody waits for ends.
func (t *turns) arm() {
	if t.holder == nil || t.flying > 0 || len(t.line) == 0 {
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
	defer t.mu.Unlock()
	switch {
	case t.holder == nil || t.flying > 0:
	case time.Now().Before(t.until):
		t.arm()
	default:
		t.release()
		t.advance()
	}
}

// release ends the turn.
func (t *turns) release() {
	for _, ln := range t.kept {
		ln.turn = nil
	}
	t.holder, t.kept, t.flying = nil, t.kept[:0], 0
}

// refuse makes the refusal of a Write that comes too late, and gives it the turn.
func (t *turns) refuse(wt *waiter, stale int) error {
	p, b := wt.party, &wt.write.Batches[stale]
	if t.holder != p {
		t.holder, t.began, t.flying = p, time.Time{}, 0
	}
	t.until, p.away = time.Now().Add(p.turn()), true
	for i := range wt.write.Batches {
		ln := t.lane(wt.write.Batches[i].Shard)
		if ln.turn == nil {
			ln.turn = p
			t.kept = append(t.kept, ln)
		}
	}
	e := &driver.TailError{Shard: b.Shard, Tail: t.lane(b.Shard).tail}
	room := toldNews
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		t.tell(e, p, b.Shard, b.First, &room)
	}
	for shard, rev := range p.known { // it is likely to want them next
		if ln := t.lane(shard); rev < ln.tail && ln.turn != p {
			t.tell(e, p, shard, rev+1, &room)
		}
	}
	t.arm()
	return e
}

// tell adds the news of a shard from a revision on to a refusal, if there is room.
func (t *turns) tell(e *driver.TailError, p *party, shard int, first driver.Revision, room *int) {
	ln := t.lane(shard)
	commits, ok := ln.recent.from(first, ln.tail)
	size := 0
	for _, c := range commits {
		size += len(c.Data) + commitCost
	}
	if !ok || size > *room {
		return
	}
	*room -= size
	e.News = append(e.News, driver.Batch{Shard: shard, First: first, Commits: commits})
	p.known[shard] = ln.tail
}

// leave notes what the store answered to w.
func (t *turns) leave(p *party, w *driver.Write, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		p.away, p.lost = false, 0
		for i := range w.Batches {
			b := &w.Batches[i]
			ln := t.lane(b.Shard)
			ln.tail = max(ln.tail, b.First-1+driver.Revision(len(b.Commits)))
			p.known[b.Shard] = ln.tail
			if t.others > 0 && len(b.Commits) > 0 {
				ln.recent.add(b)
			}
		}
	}
	t.land(p, w, err)
}

// land frees the lanes of w, and ends the turn of its writer when it had enough.
func (t *turns) land(p *party, w *driver.Write, err error) {
	for i := range w.Batches {
		t.lane(w.Batches[i].Shard).flight = false
	}
	if t.holder == p && t.flying > 0 {
		if t.flying--; t.flying == 0 {
			now := time.Now()
			if t.until = now.Add(soon); len(t.line) == 0 || err != nil || now.Sub(t.began) > slice {
				t.release()
			} else {
				t.arm()
			}
		}
	}
	t.advance()
	for i := range w.Batches {
		shard := w.Batches[i].Shard
		if ln := t.lanes[shard]; ln != nil && ln.tail == 0 && !ln.flight && ln.turn == nil && ln.waiting == 0 {
			delete(t.lanes, shard) // nothing was ever written there
			delete(p.known, shard)
		}
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
		t.drop(i)
		wt.decided <- err
		i = 0
	}
}

// withdraw takes a Write whose caller has gone out of the line.
func (t *turns) withdraw(wt *waiter) {
	if i := slices.Index(t.line, wt); i >= 0 {
		t.drop(i)
		t.advance()
	}
}
