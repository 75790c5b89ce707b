package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/internal/atonce"
	"github.com/rollforward/rollforward/internal/sys"
)

// A batch rolls steps of a few targets forward in one commit of their shard:
// each in a savepoint, those of a target in order, with their outcomes beside
// their effects.
type batch struct {
	*engine
	shard  int // the targets'
	groups []*group

	mu    sync.Mutex
	begun int  // groups that a run has begun
	cut   bool // no further ones are to be

	tx     *eventlog.Tx         // of the run under way
	group  *group               // whose steps run
	at     *work                // the step that runs; nil: none
	chain  []link               // that the group's steps have enqueued for their own target
	seen   map[eventlog.ID]bool // steps whose life has gone on in this run
	taken  int                  // steps of this run
	linked []string             // types of the links among them
	spent  int                  // bytes that its links need

	// What is done at once.
	atOnce  int           // how many steps it may do
	taker   *Handler      // that did, or would have
	runs    int           // of run
	halved  bool          // because a run was too much
	apart   bool          // it does nothing at once any more
	wants   bool          // it is one of those that have the lead or will
	leads   bool          // it has the lead
	again   bool          // it is to run again as one that wants it
	has     []string      // streams that it has taken
	placed  chan struct{} // once its run is over: closed when it has its place
	did     int           // steps, in this run
	late    bool          // which took too long for the steps behind
	deep    int           // how deep in it the handler is
	emitter int           // the shard that stores what is enqueued
}

// A group is the steps of one target in a batch.
type group struct {
	queue *queue
	works []*work
	cut   bool // its items are queued again; the engine's goroutine knows
	// chained says that the group may go on with the steps that it enqueues itself:
	// nothing else is pending for the target in its own shard, whose steps are known
	// up to version known.
	chained bool
	known   uint64
}

// A work is an item in a batch, with its payload.
type work struct {
	*item
	stored  []byte // the item's, when the batch was made
	step    *enqueued
	left    bool  // for another batch
	novel   bool  // nobody knew whether its handler does things at once
	inside  bool  // its handler did not come back from what it did at once
	refused error // why it is not even tried: its commit was refused
	outcome outcome
}

// An outcome is what became of an item. The zero outcome is "not reached": it is
// still to be rolled forward.
type outcome struct {
	decided bool
	wrote   bool      // by this batch
	due     time.Time // not decided: not before
	parked  error     // not decided: why it is left to another program
	tried   bool      // and why: an attempt failed before
	attempt int       // that failed; 0: none did
	dead    bool
	expired bool
	err     error
	took    time.Duration // of the handler
}

// errFull ends a batch: the next step has no room beside those before it.
var errFull = errors.New("the commit is full")

// errAgain ends a run that comes to nothing.
var errAgain = errors.New("the batch is to run again")

// batchOf returns the batch that tx is a run of, nil for a user's own.
func batchOf(tx *eventlog.Tx) *batch {
	b, _ := atonce.Of(tx).(*batch)
	return b
}

// roll brings the items as far as it can. An error says that the store, not a
// step, is to blame.
func (b *batch) roll(ctx context.Context) error {
	defer func() {
		b.lead.pass(b)
		b.lead.drop(b)
	}()
	if err := b.load(ctx); err != nil {
		return err
	}
	ctx = context.WithValue(ctx, atonce.Key{}, b)
	_, err := b.Log.Update(ctx, b.run)
	switch {
	case err == nil || !errors.Is(err, eventlog.ErrTooLarge):
		return err
	case b.halve():
		return b.roll(ctx) // the others are not reached
	}
	w := b.groups[0].works[0]
	w.refused = Abort(err)
	_, err = b.Log.Update(ctx, b.run)
	return err
}

// halve leaves the half of the steps out; false: there is but one, and it was
// refused already or has linked none.
func (b *batch) halve() bool {
	b.halved = true
	b.mu.Lock()
	if b.cut {
		b.groups = b.groups[:b.begun]
	}
	b.mu.Unlock()
	n := 0
	for _, g := range b.groups {
		for _, w := range g.works {
			if !w.left {
				n++
			}
		}
	}
	if n <= 1 {
		g := b.groups[0]
		again := g.chained || !b.apart // what followed was too much
		g.chained, b.apart = false, true
		return again
	}
	keep := n / 2
	for _, g := range b.groups {
		for _, w := range g.works {
			if w.left {
				continue
			}
			keep--
			w.left = keep < 0
		}
	}
	return true
}

// load reads the payloads that are not in memory.
func (b *batch) load(ctx context.Context) error {
	missing := make(map[int][]*work)
	for _, g := range b.groups {
		for _, w := range g.works {
			switch {
			case w.step != nil:
			case w.stored != nil:
				w.decode(w.stored)
			default:
				missing[w.src.shard] = append(missing[w.src.shard], w)
			}
		}
	}
	for shard, works := range missing {
		if err := loadSteps(ctx, b.Log, shard, works); err != nil {
			return err
		}
	}
	return nil
}

// decode reads the payload. What cannot be read will never do: such a step is dead.
func (w *work) decode(raw []byte) {
	var err error
	if w.step, err = decodeStep(w.id, raw); err != nil {
		w.step, w.refused = &enqueued{Type: w.typ, Target: w.target}, Abort(err)
	}
}

func (b *batch) run(tx *eventlog.Tx) error {
	b.tx, b.taken, b.spent, b.linked, b.seen = tx, 0, 0, nil, make(map[eventlog.ID]bool)
	b.did, b.deep, b.late, b.again, b.emitter = 0, 0, false, false, b.shard
	tx.OnPlaced(func() { b.lead.drop(b) })
	if b.runs++; b.runs > 1 { // it met others; alone it may go well
		b.apart = true
		b.lead.drop(b)
	}
	defer func() {
		b.tx, b.group, b.at, b.chain = nil, nil, nil, nil
		b.lead.pass(b)
	}()
	for _, g := range b.groups {
		for _, w := range g.works {
			w.outcome = outcome{} // of a run before, which may have come further
		}
	}
	if b.wants && !b.apart {
		b.leads = b.lead.wait(tx.Context())
		b.apart = !b.leads
	}
	for i, g := range b.groups {
		if !b.begin(i) {
			break
		}
		b.group, b.chain = g, b.chain[:0]
		full, err := b.runGroup(tx, g)
		if err != nil {
			return err
		}
		if full {
			break
		}
	}
	return nil
}

// begin claims a group for this batch, unless it was cut off meanwhile.
func (b *batch) begin(i int) bool {
	b.mu.Lock()
	if i >= b.begun && b.cut {
		b.mu.Unlock()
		return false
	}
	b.begun = max(b.begun, i+1)
	b.mu.Unlock()
	b.lead.take(b.groups[i].queue.target, b) // else they meet: one of the two runs again
	return true
}

// cutOff returns the groups that no run has begun, which the batch leaves alone
// from now on: those that it has begun take long.
func (b *batch) cutOff() []*group {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut = true
	return b.groups[b.begun:]
}

func (b *batch) runGroup(tx *eventlog.Tx, g *group) (full bool, err error) {
	lives := make([]life, len(g.works))
	for i, w := range g.works { // first: a transaction that has written much reads slowly
		if w.left {
			continue
		}
		if lives[i], err = readLife(tx, b.shard, w.id, w.born()); err != nil {
			return false, err
		}
	}
	held, left := false, false // an ordered step has failed; some are for another batch
	for i, w := range g.works {
		if left = left || w.left; held || w.left {
			continue // not reached
		}
		if b.seen[w.id] { // it was read twice, or redriven, or cancelled by one before it: what that did counts
			if lives[i], err = readLife(tx, b.shard, w.id, w.born()); err != nil {
				return false, err
			}
		}
		if b.leads && b.taken > 0 && b.lead.long() { // others want it too
			full, b.late = true, true
			break
		}
		b.seen[w.id] = true
		b.at = w
		w.outcome, err = b.step(tx, w, lives[i])
		b.at = nil
		if b.again {
			return false, errAgain
		}
		if errors.Is(err, errFull) {
			w.outcome = outcome{}
			full = true
			break
		}
		if err != nil {
			return false, err
		}
		if w.outcome.wrote {
			b.taken++
		}
		held = w.handler.Policy.Ordered && w.outcome.parked == nil && (!w.outcome.decided || w.outcome.dead)
	}
	return full, b.goOn(tx, !full && !held && !left)
}

// current is the step whose handler runs, zero outside of handlers.
func (b *batch) current() eventlog.ID {
	if b.at == nil {
		return eventlog.ID{}
	}
	return b.at.id
}

// crowded reports whether other steps have written in this run.
func (b *batch) crowded() bool { return b.taken > 0 }

// step rolls one item forward.
func (b *batch) step(tx *eventlog.Tx, w *work, l life) (outcome, error) {
	switch {
	case l.over:
		return outcome{decided: true, dead: l.dead}, nil
	case !w.again && !tx.Time().After(w.time): // the clock that stamped the step is ahead of ours
		return outcome{due: w.time.Add(1)}, nil
	case l.due.After(tx.Time()):
		return outcome{due: l.due, tried: true}, nil
	case w.due.After(tx.Time()):
		return outcome{due: w.due}, nil
	}
	if w.timer != "" {
		if set, err := (Timer{w.target, w.timer}).isSet(tx, w.id); err != nil || !set {
			return outcome{decided: true}, err
		}
	}
	if l.data != nil { // edited; the item's own copy stays
		edited := *w.step
		edited.Data, w.step = l.data, &edited
	}
	begin := time.Now()
	var err error
	if w.handler.Effect == nil { // else that was looked at before it ran
		err = b.expired(tx, w, l)
	}
	if err == nil {
		err = b.try(tx, w)
	}
	took := time.Since(begin)
	switch {
	case err == nil:
		return outcome{decided: true, wrote: true, took: took}, nil
	case tx.Context().Err() != nil:
		return outcome{}, tx.Context().Err()
	case storeFailed(err):
		return outcome{}, err
	case parks(err):
		return outcome{parked: err}, nil
	case errors.Is(err, eventlog.ErrTooLarge) && b.crowded():
		return outcome{}, errFull
	case errors.Is(err, eventlog.ErrTooLarge) && b.did > 0: // it may be because of that
		return outcome{}, err
	case errors.Is(err, eventlog.ErrTooLarge):
		err = Abort(err)
	}
	o, err := b.fail(tx, w, l, err)
	o.took = took
	return o, err
}

// expired returns an error for a step that comes too late: it counts from its
// commit, from the time that it was given, or from when it was redriven, and not
// from its attempts.
func (b *batch) expired(tx *eventlog.Tx, w *work, l life) error {
	ttl := w.handler.Policy.TTL
	since := w.time
	if due := w.step.Due; due != nil && due.After(since) {
		since = *due
	}
	if l.redriven.After(since) {
		since = l.redriven
	}
	if ttl > 0 && tx.Time().After(since.Add(ttl)) {
		return Abort(fmt.Errorf("%w: it should have run by %s", ErrExpired, since.Add(ttl).Format(time.RFC3339Nano)))
	}
	return nil
}

// meta is that of the commit in which the step runs.
func (w *work) meta() eventlog.Meta {
	return eventlog.Meta{Correlation: w.step.Chain, Causation: w.id, Actor: w.step.Actor, Traceparent: w.step.Traceparent}
}

// try runs the handler. Its effect and the mark that the step is done stand or
// fall together.
func (b *batch) try(tx *eventlog.Tx, w *work) error {
	if w.refused != nil {
		return w.refused
	}
	return tx.Scope(w.meta(), func() error {
		if err := w.do(tx); err != nil {
			return err
		}
		return tx.Append(outcomesStream(b.shard), sys.Event{Type: typeDone, Data: []byte("{}"), Tags: []string{stepTag(w.id)}})
	})
}

// do runs the handler's function; that of an Effect ran before.
func (w *work) do(tx *eventlog.Tx) error {
	if w.handler.Effect != nil {
		if w.effect.err != nil || w.effect.result == nil {
			return w.effect.err
		}
		err := Enqueue(tx, w.effect.result)
		if errors.Is(err, ErrStep) {
			err = Abort(err)
		}
		return err
	}
	return w.guard(func() error { return w.handler.Do(tx, w.step.raw()) })
}

// fail writes down that an attempt failed, and what follows from it.
func (b *batch) fail(tx *eventlog.Tx, w *work, l life, cause error) (outcome, error) {
	policy := w.handler.Policy
	attempt := l.attempts + 1
	if Aborted(cause) || policy.exhausted(attempt) {
		err := tx.Scope(w.meta(), func() error { return b.bury(tx, w, l, attempt, cause) })
		switch {
		case err == nil:
			return outcome{decided: true, wrote: true, attempt: attempt, dead: w.handler.Failed == nil,
				expired: errors.Is(cause, ErrExpired), err: cause}, nil
		case tx.Context().Err() != nil:
			return outcome{}, err
		case storeFailed(err):
			return outcome{}, err
		case parks(err):
			return outcome{parked: err}, nil
		case errors.Is(err, eventlog.ErrTooLarge) && b.crowded():
			return outcome{}, errFull
		case errors.Is(err, eventlog.ErrTooLarge) && b.did > 0:
			return outcome{}, err
		}
		cause = fmt.Errorf("%v; then Failed: %w", cause, err)
	}
	f := failed{Attempt: attempt, Error: text(cause), Due: tx.Time().Add(policy.delay(attempt))}
	err := tx.Scope(w.meta(), func() error { return b.write(tx, w, outcomesStream(b.shard), typeFailed, f) })
	if errors.Is(err, eventlog.ErrTooLarge) && b.crowded() {
		err = errFull
	}
	return outcome{wrote: true, due: f.Due, attempt: attempt, err: cause}, err
}

// bury ends a step that has failed for good.
func (b *batch) bury(tx *eventlog.Tx, w *work, l life, attempt int, cause error) error {
	if h := w.handler; h.Failed != nil {
		if err := w.guard(func() error { return h.Failed(tx, w.step.raw(), cause) }); err != nil {
			return err
		}
		return b.write(tx, w, outcomesStream(b.shard), typeDone, done{Error: text(cause)})
	}
	d := dead{Shard: w.src.shard, Version: w.version, Type: w.typ, Target: w.target, Attempts: attempt, Error: text(cause),
		Expired: errors.Is(cause, ErrExpired), First: l.first}
	if d.First.IsZero() {
		d.First = tx.Time()
	}
	return b.write(tx, w, deadStream(b.shard), typeDead, d)
}

// write appends an event of the item's life.
func (b *batch) write(tx *eventlog.Tx, w *work, stream, typ string, payload any) error {
	e, err := event(typ, payload, stepTag(w.id))
	if err != nil {
		return err
	}
	return tx.Append(stream, e)
}

// storeFailed reports whether an error says that the store, not the step, is to
// blame for it.
func storeFailed(err error) bool {
	return errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, eventlog.ErrDiskFull) || errors.Is(err, eventlog.ErrClosed)
}

// guard makes a panic of a user's function an error.
func guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}

// guard is that of a step's handler. That it ends the goroutine cannot be helped:
// it is remembered.
func (w *work) guard(fn func() error) (err error) {
	returned := false
	defer func() {
		switch {
		case returned:
		case w.inside: // it is not to blame; who is will be when it runs as a step
			w.apart = true
		default:
			w.exited = errExited
		}
	}()
	err = guard(fn)
	returned = true
	return err
}

// errExited: a handler called runtime.Goexit, as a test does that fails.
var errExited = errors.New("the handler has ended its goroutine")
