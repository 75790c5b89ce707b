package remotelog

import (
	"context"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// turns lets the writers of several processes take turns in each shard.
//
// A Write whose shard is being written by somebody else is going to lose. It
// stands in line until that is durable; whoever is first then gets the refusal,
// with the commits that it did not know, and the shard is kept free for it for
// about the time in which it comes back. All others stay in line. So every
// success costs one refusal, however many processes there are, and each
// process has its turn.
//
// It is a courtesy that decides nothing: what holds is decided by the store.
type turns struct {
	mu     sync.Mutex
	lanes  map[int]*lane
	elder  *waiter // the one Write over several shards that keeps those that are free
	others int     // processes beside the owner's own
}

// A lane is the line of those who write a shard.
type lane struct {
	tail   driver.Revision // at least; what the store said last
	flight bool            // a Write is with the store
	turn   *party          // who is awaited; nil: nobody
	until  time.Time       // and until when
	line   []*waiter
	timer  *time.Timer // ends a turn that somebody waits for
	recent recent
}

// A party is a process that writes.
type party struct {
	gone  bool
	lanes map[*lane]losses
}

// losses is how a party fares in a lane.
type losses struct {
	n    int  // times that it came back and lost, since it last won
	away bool // it was refused and has not come back
}

// A shard waits for a party for a short time, about that in which a process on the
// same machine comes back; so one that wanted only this place, and does not come
// back, holds up nobody for long. Who comes too late again and again gets more:
// so also a slow one has its turn.
const (
	shortTurn = 2 * time.Millisecond
	longTurn  = 100 * time.Millisecond
	lostTurns = 4 // losses that double the time
)

func newParty() *party { return &party{lanes: make(map[*lane]losses)} }

func (p *party) turn(ln *lane) time.Duration {
	return min(shortTurn<<min(p.lanes[ln].n/lostTurns, 6), longTurn)
}

// back notes that p comes to a lane.
func (p *party) back(ln *lane) {
	if f := p.lanes[ln]; f.away {
		p.lanes[ln] = losses{n: f.n + 1}
	}
}

// A waiter is a Write that stands in line.
type waiter struct {
	party   *party
	write   *driver.Write
	decided chan error // nil: go on
	at      *lane      // in whose line it stands
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
		if ln.turn == p {
			ln.turn = nil
		}
		t.advance(ln)
	}
}

// enter returns nil when w may go to the store.
func (t *turns) enter(ctx context.Context, p *party, w *driver.Write) error {
	wt := &waiter{party: p, write: w}
	t.mu.Lock()
	for i := range w.Batches {
		p.back(t.lane(w.Batches[i].Shard))
	}
	decided, err := t.try(wt)
	if !decided {
		wt.decided = make(chan error, 1)
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
			t.land(p, w)
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

// try decides on a Write whose shards are all free for it: it may go on, or is
// refused and has the next turn. Any other one stands in line.
func (t *turns) try(wt *waiter) (decided bool, err error) {
	if wt.party.gone {
		if t.elder == wt {
			t.elder = nil
		}
		return true, errGone
	}
	var busy *lane
	stale := -1
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		ln := t.lane(b.Shard)
		if busy == nil && ln.busy(wt.party) {
			busy = ln
		}
		if stale < 0 && b.First <= ln.tail {
			stale = i
		}
	}
	if busy != nil {
		t.wait(wt, busy)
		return false, nil
	}
	if t.elder == wt {
		t.elder = nil
	}
	if stale >= 0 {
		return true, t.refuse(wt, stale)
	}
	for i := range wt.write.Batches {
		ln := t.lane(wt.write.Batches[i].Shard)
		ln.turn, ln.flight = nil, true
	}
	return true, nil
}

func (ln *lane) busy(p *party) bool { return ln.flight || ln.turn != nil && ln.turn != p }

// wait puts wt into the line of a lane. A Write over several shards could wait for
// ever for all of them to be free at once: the first such one keeps those that are.
func (t *turns) wait(wt *waiter, busy *lane) {
	wt.at = busy
	busy.line = append(busy.line, wt)
	if busy.turn != nil {
		busy.arm(t)
	}
	if len(wt.write.Batches) == 1 || t.elder != nil && t.elder != wt {
		return
	}
	t.elder = wt
	for i := range wt.write.Batches {
		if ln := t.lane(wt.write.Batches[i].Shard); !ln.busy(wt.party) {
			t.give(ln, wt.party, longTurn)
		}
	}
}

// give keeps a lane free for a party.
func (t *turns) give(ln *lane, p *party, d time.Duration) {
	ln.turn, ln.until = p, time.Now().Add(d)
	if len(ln.line) > 0 {
		ln.arm(t)
	}
}

// arm makes sure that a turn ends.
func (ln *lane) arm(t *turns) {
	if ln.timer == nil {
		ln.timer = time.AfterFunc(time.Until(ln.until), func() { t.expire(ln) })
	} else {
		ln.timer.Reset(time.Until(ln.until))
	}
}

// expire ends a turn that was not taken in time.
func (t *turns) expire(ln *lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case ln.turn == nil:
	case time.Now().Before(ln.until):
		ln.arm(t)
	default:
		ln.turn = nil
		t.advance(ln)
	}
}

// refuse makes the refusal of a Write that comes too late, and gives it the turn.
func (t *turns) refuse(wt *waiter, stale int) error {
	b := &wt.write.Batches[stale]
	e := &driver.TailError{Shard: b.Shard, Tail: t.lane(b.Shard).tail}
	size := 0
	for i := range wt.write.Batches {
		b := &wt.write.Batches[i]
		ln := t.lane(b.Shard)
		t.give(ln, wt.party, wt.party.turn(ln))
		wt.party.lanes[ln] = losses{n: wt.party.lanes[ln].n, away: true}
		commits, ok := ln.recent.from(b.First, ln.tail)
		for _, c := range commits {
			size += len(c.Data) + commitCost
		}
		if ok && size <= toldNews {
			e.News = append(e.News, driver.Batch{Shard: b.Shard, First: b.First, Commits: commits})
		}
	}
	return e
}

// leave notes what the store answered to w.
func (t *turns) leave(p *party, w *driver.Write, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		for i := range w.Batches {
			b := &w.Batches[i]
			ln := t.lane(b.Shard)
			delete(p.lanes, ln)
			ln.tail = max(ln.tail, b.First-1+driver.Revision(len(b.Commits)))
			if t.others > 0 && len(b.Commits) > 0 {
				ln.recent.add(b)
			}
		}
	}
	t.land(p, w)
}

// land frees the lanes of w for whoever is next.
func (t *turns) land(p *party, w *driver.Write) {
	for i := range w.Batches {
		t.lane(w.Batches[i].Shard).flight = false
	}
	for i := range w.Batches {
		shard := w.Batches[i].Shard
		ln := t.lane(shard)
		if t.advance(ln); ln.tail == 0 && !ln.flight && ln.turn == nil && len(ln.line) == 0 {
			delete(t.lanes, shard) // nothing was ever written there
			delete(p.lanes, ln)
		}
	}
}

// advance decides on those in line, until one has the lane.
func (t *turns) advance(ln *lane) {
	for n := len(ln.line); n > 0 && !ln.busy(ln.line[0].party); n-- {
		wt := ln.line[0]
		ln.line[0] = nil
		ln.line = ln.line[1:]
		wt.at = nil
		if decided, err := t.try(wt); decided {
			wt.decided <- err
		}
	}
}

// withdraw takes a Write whose caller has gone out of the line.
func (t *turns) withdraw(wt *waiter) {
	if ln := wt.at; ln != nil {
		for i, o := range ln.line {
			if o == wt {
				ln.line = append(ln.line[:i:i], ln.line[i+1:]...)
				break
			}
		}
	}
	if t.elder == wt {
		t.elder = nil
	}
}
