package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Update runs fn, which reads and writes through its Tx, and writes all of it
// at one moment: strictly serializable over everything that fn read and wrote,
// by whatever process. When fn returns an error, nothing is written and Update
// returns that error. When what fn read has changed meanwhile, fn runs again:
// it must not have effects of its own. After Options.Attempts runs Update gives
// up with ErrConflict.
//
// fn sees what its own process has queued before it, so that many updates of
// one stream share one durable write. Every return of fn is answered only after
// all that it saw is durable.
//
// The position that Update returns covers what it wrote and read.
func (l *Log) Update(ctx context.Context, fn func(*Tx) error) (Position, error) {
	p, err := l.update(ctx, fn, false)
	if err != nil && errors.Is(err, ErrConflict) && !errors.As(err, new(*VersionError)) {
		return p, fmt.Errorf("eventlog: update: %w", err)
	}
	return p, err
}

// View runs fn, which reads through its Tx at one moment. It sees durable
// commits only, and cannot write. fn runs again when what it read has changed
// before it was done.
func (l *Log) View(ctx context.Context, fn func(*Tx) error) error {
	for attempt := range l.opts.Attempts {
		if err := ctx.Err(); err != nil {
			return err
		}
		tx := l.begin(ctx)
		tx.view = true
		result := tx.run(fn)
		ok, err := tx.verify()
		if err != nil {
			return fmt.Errorf("eventlog: view: %w", err)
		}
		if ok {
			return result.answer()
		}
		l.again(ctx, attempt)
	}
	return fmt.Errorf("eventlog: view: %w after %d attempts", ErrConflict, l.opts.Attempts)
}

// An Expect says at which version an append wants its stream. The zero Expect
// wants nothing.
type Expect struct {
	set     bool
	version uint64
}

// NoStream expects that the stream does not exist. It equals Exactly(0).
var NoStream = Exactly(0)

// Exactly expects the stream at version v.
func Exactly(v uint64) Expect { return Expect{true, v} }

// AppendOptions say how to append. nil and zero values are the defaults.
type AppendOptions struct {
	// Expect is the version that the stream must have; the error is otherwise a
	// *VersionError.
	Expect Expect
	// ID makes the append idempotent: repeated with the same id (in this
	// stream) it does nothing and returns the position of the first. With other
	// content it is refused with ErrIDReused.
	ID string
	// Tags are put on each event.
	Tags []string
	// Meta is the commit's metadata.
	Meta Meta
	// Relaxed makes the append durable without giving it a place yet: it waits for
	// nobody else's write, conflicts with nothing, and reads nothing, however many
	// processes append to the shard. Later it is folded into the shard, once, by a
	// sequencer (package eventlog/sequencer) or, where none does it within
	// Options.FoldAfter, by this log. Only then do readers and Updates see it; see
	// [Query].Timeline for who wants to see it before.
	//
	// The position that such an Append returns is zero; [Log.Fold] gives one that
	// covers it. Relaxed appends of one Log to one shard are folded in their order;
	// a strict one behind them may come first. Expect is refused, since there is
	// nothing yet to hold it against. The ID is looked at when the append is folded:
	// the first append with it stays, and another one folds to nothing, also one
	// with other content, which is told to Options.Logger and [Hooks].Fold.
	Relaxed bool
}

// Append appends events to one stream: an Update that does nothing else. Without
// events it only checks what o expects.
func (l *Log) Append(ctx context.Context, stream string, o *AppendOptions, events ...Event) (Position, error) {
	var opts AppendOptions
	if o != nil {
		opts = *o
	}
	if len(opts.Tags) > 0 {
		tagged := make([]Event, len(events))
		for i, e := range events {
			tagged[i] = Tagged(e, opts.Tags...)
		}
		events = tagged
	}
	if opts.Relaxed {
		if err := l.appendRelaxed(ctx, stream, &opts, events); err != nil {
			return Position{}, fmt.Errorf("eventlog: append %s: %w", stream, err)
		}
		return Position{}, nil
	}
	var first Position
	looks := false // at the version: only where it is not the expected one
	p, err := l.update(ctx, func(tx *Tx) error {
		first = Position{} // what an earlier run saw may have been lost
		tx.meta = opts.Meta.clone()
		if err := tx.append(stream, events); err != nil {
			return err
		}
		if opts.ID != "" {
			if earlier, err := tx.appendOnce(stream, opts.ID); err != nil || earlier != nil {
				if earlier != nil {
					first = *earlier
				}
				return err
			}
		}
		if opts.Expect.set && !looks {
			looks = true
			tx.presume(stream, opts.Expect.version)
			return nil
		}
		return tx.expect(stream, opts.Expect)
	}, true)
	if err != nil {
		return Position{}, fmt.Errorf("eventlog: append %s: %w", stream, err)
	}
	if !first.IsZero() {
		return first, nil
	}
	return p, nil
}

// appendOnce records the id of what was appended so far. When an earlier
// append recorded it, nothing remains to be written and its position is
// returned.
func (tx *Tx) appendOnce(stream, id string) (earlier *Position, err error) {
	hash := contentHash(tx.events)
	o, rev, err := tx.once(stream, id, hash)
	if err != nil || o == nil {
		return nil, err
	}
	if o.hash != hash {
		return nil, fmt.Errorf("id %q: %w", id, ErrIDReused)
	}
	tx.events, tx.onces, tx.written = nil, nil, nil
	p := Position{}.With(shardOf(stream, len(tx.log.lanes)), rev)
	return &p, nil
}

// presume makes the version of a stream a condition without a look at it: when
// the transaction joins its lanes, it either has that version or the function
// runs again and finds out why not.
func (tx *Tx) presume(stream string, version uint64) {
	ln := tx.log.lanes[shardOf(stream, len(tx.log.lanes))]
	tx.reads = append(tx.reads, read{lane: ln, key: stream, pos: version, presumed: true})
}

// expect makes the version of a stream a condition.
func (tx *Tx) expect(stream string, e Expect) error {
	if !e.set {
		return nil
	}
	have, err := tx.head(stream)
	if err != nil {
		return err
	}
	if have != e.version {
		return &VersionError{Stream: stream, Want: e.version, Have: have}
	}
	return nil
}

// update runs fn until it is answered. own says that fn is this package's, and keeps
// nothing of its Tx.
func (l *Log) update(ctx context.Context, fn func(*Tx) error, own bool) (Position, error) {
	for attempt := 0; attempt < l.opts.Attempts; attempt++ {
		if err := ctx.Err(); err != nil {
			return Position{}, err
		}
		tx := l.begin(ctx)
		result := tx.run(fn)
		m, err := tx.member(result.ok())
		if m == nil || err != nil {
			l.leave(tx)
		}
		if err != nil {
			return Position{}, err
		}
		if m == nil {
			return Position{}, result.answer()
		}
		switch err := l.submit(ctx, tx, m); {
		case err == nil && result.ok():
			tx.follow(m)
			p := m.position()
			if own {
				tx.reuse(m)
			}
			return p, nil
		case err == nil:
			return Position{}, result.answer()
		case err == errLook:
			attempt-- // it was none
			continue
		case !errors.Is(err, errAgain):
			return Position{}, err
		}
		l.again(ctx, attempt)
	}
	return Position{}, fmt.Errorf("%w after %d attempts", ErrConflict, l.opts.Attempts)
}

// follow brings the states that tx loaded up to what it wrote.
func (tx *Tx) follow(m *member) {
	for _, s := range tx.states {
		for _, p := range m.parts {
			if p.commit != nil {
				s.follow(tx, p)
			}
		}
	}
}

// again makes way for others before the next attempt, the longer the more often
// it was in vain.
func (l *Log) again(ctx context.Context, attempt int) {
	if f := l.opts.Hooks.Conflict; f != nil {
		f()
	}
	if attempt >= 3 {
		pause(ctx, min(attempt-3, 5))
	}
}

// submit puts m into its lanes and waits for the answer.
func (l *Log) submit(ctx context.Context, tx *Tx, m *member) error {
	if err := l.enter(ctx, tx, m); err != nil {
		return err
	}
	for _, f := range tx.placed {
		f()
	}
	select {
	case err := <-m.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-m.done: // it was answered just now
		return err
	default:
		if !m.write {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w while the write was under way", ErrUnknown, context.Cause(ctx))
	}
}

// enter joins m, asking the index first where it must.
func (l *Log) enter(ctx context.Context, tx *Tx, m *member) error {
	for {
		l.mu.Lock()
		if wait := l.room.full(); wait != nil {
			l.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				l.leave(tx)
				return ctx.Err()
			}
		}
		err := l.join(m)
		if err != errLookUp {
			l.passTurn(tx)
			l.mu.Unlock()
			return err
		}
		l.mu.Unlock()
		if err := l.lookUp(ctx, m); err != nil {
			l.leave(tx)
			return err
		}
	}
}

// leave ends a transaction that joins no lane.
func (l *Log) leave(tx *Tx) {
	l.mu.Lock()
	l.passTurn(tx)
	l.mu.Unlock()
}

func (m *member) position() Position {
	top := 0
	for _, p := range m.parts {
		top = max(top, p.lane.shard)
	}
	revs := make([]driver.Revision, top+1)
	for _, p := range m.parts {
		revs[p.lane.shard] = p.rev
	}
	return Position{revs}
}

// result is how a function ended. A panic is an answer like any other.
type result struct {
	err      error
	panicked any
	returned bool
}

func (tx *Tx) run(fn func(*Tx) error) (r result) {
	defer func() {
		tx.over = true
		if r.returned {
			return
		}
		if r.panicked = recover(); r.panicked == nil { // runtime.Goexit: nobody will be answered
			tx.log.leave(tx)
		}
	}()
	r.err = fn(tx)
	r.returned = true
	return r
}

func (r result) ok() bool { return r.returned && r.err == nil }

func (r result) answer() error {
	if !r.returned {
		panic(r.panicked)
	}
	return r.err
}
