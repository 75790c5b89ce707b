package outbox

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// A lead makes those batches run one after another that change streams at once
// which are not their own targets, so that they do not meet. It is a courtesy, not
// a lock: what is right is decided when a batch commits. A batch has the lead while it
// runs, and what it has taken until it has its place in the log, so that who comes next
// sees what it wrote. Who leads for long, because of a handler that takes long, is not
// waited for.
type lead struct {
	free chan struct{} // holds the lead when nobody has it
	want atomic.Int32  // batches that have it or will

	mu    sync.Mutex
	since time.Time
	taken map[string]*batch // streams that a batch under way is at work on
}

func newLead() *lead {
	l := &lead{free: make(chan struct{}, 1), taken: make(map[string]*batch)}
	l.free <- struct{}{}
	return l
}

// wait gets the lead; false: it is better to go on without it.
func (l *lead) wait(ctx context.Context) bool {
	select {
	case <-l.free:
		l.begin()
		return true
	default:
	}
	timer := time.NewTimer(l.patience())
	defer timer.Stop()
	for {
		select {
		case <-l.free:
			l.begin()
			return true
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
		d := l.patience()
		if d <= 0 {
			return false
		}
		timer.Reset(d)
	}
}

func (l *lead) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = time.Now()
}

// patience is how much longer the one who leads is waited for.
func (l *lead) patience() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slowBatch - time.Since(l.since)
}

// long reports whether the one who leads has for long enough.
func (l *lead) long() bool { return l.patience() < slowBatch-leadTime }

const leadTime = 12 * time.Millisecond

// take notes that b is at work on a stream, unless another batch is. One whose run
// is over is waited for: it will have its place at once.
func (l *lead) take(stream string, b *batch) bool {
	for {
		l.mu.Lock()
		o := l.taken[stream]
		if o == nil {
			l.taken[stream] = b
			b.has = append(b.has, stream)
			l.mu.Unlock()
			return true
		}
		placed := o.placed
		l.mu.Unlock()
		if o == b || placed == nil {
			return o == b
		}
		select {
		case <-placed:
		case <-b.tx.Context().Done():
			return false
		}
	}
}

// pass hands the lead on: b's run is over.
func (l *lead) pass(b *batch) {
	if b.wants {
		b.wants = false
		l.want.Add(-1)
	}
	if len(b.has) > 0 && b.placed == nil {
		l.mu.Lock()
		b.placed = make(chan struct{})
		l.mu.Unlock()
	}
	if b.leads {
		b.leads = false
		l.free <- struct{}{}
	}
}

// drop ends what b has taken: it has its place, or will have none.
func (l *lead) drop(b *batch) {
	if len(b.has) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range b.has {
		delete(l.taken, s)
	}
	b.has = b.has[:0]
	if b.placed != nil {
		close(b.placed)
		b.placed = nil
	}
}

// Take implements [atonce.Batch].
func (b *batch) Take(typ, stream string) bool {
	if b.apart || b.at == nil || b.again || b.did >= b.atOnce || checkName("target", stream) != nil ||
		b.tx.Room(b.Log.ShardOf(stream)) < b.spent+linkRoom {
		return false
	}
	if h := b.handlers.of(typ); h == nil || h.Do == nil || h.Policy.Ordered {
		return false
	}
	b.taker = b.at.handler
	if !b.leads && b.at.novel {
		b.again = true
		return false
	}
	if !b.leads {
		b.leads = b.lead.wait(b.tx.Context())
	}
	if b.apart = !b.leads; b.apart {
		return false
	}
	return (b.did == 0 || !b.lead.long()) && b.lead.take(stream, b)
}

// For implements [atonce.Batch].
func (b *batch) For(stream string, fn func() error) error {
	outer, returned := b.emitter, false
	b.emitter = b.Log.ShardOf(stream)
	b.deep++
	defer func() {
		b.emitter = outer
		b.deep--
		b.at.inside = !returned
	}()
	err := fn()
	returned = true
	return err
}

// Did implements [atonce.Batch].
func (b *batch) Did(typ string) {
	n := len(b.linked)
	b.tx.OnRollback(func() { b.linked = b.linked[:n] })
	b.linked = append(b.linked, b.handlers.of(typ).Type)
	b.did++
}

// Runs implements [atonce.Batch].
func (b *batch) Runs(tx *eventlog.Tx) bool { return b.tx == tx }

// learn adapts to how a batch went that has done things at once. When it met others
// the next ones do less, or nothing for a while; and a batch begins with no more steps
// than it has time for.
func (e *engine) learn(b *batch) {
	h := b.taker
	switch {
	case h == nil:
		return
	case b.runs > 1 && !b.halved:
		if e.few /= 2; e.few < minAtOnce {
			e.few, e.shy = min(e.AtOnce, minAtOnce), time.Now().Add(shyness)
		}
	default:
		e.few = min(e.AtOnce, e.few+e.few/8)
	}
	switch {
	case h.fit == 0:
		h.fit = min(e.Batch, firstFit)
	case b.late:
		h.fit = max(1, h.fit*3/4)
	default:
		h.fit = min(e.Batch, h.fit+h.fit/4+1)
	}
}

const (
	minAtOnce = 8
	shyness   = 100 * time.Millisecond
	firstFit  = 16
)
