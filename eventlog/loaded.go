package eventlog

import (
	"slices"

	"github.com/rollforward/rollforward/internal/sys"
)

// A loaded is a stream whose state a transaction loaded. From the second time on
// it keeps the state with the transaction's own events folded in, so that whoever
// loads and appends again and again folds each event once.
type loaded[S any] struct {
	folding[S]              // the caller of the first Load has its state
	last       *ownState[S] // nil: not kept
	safe       *ownState[S] // an earlier one, which no savepoint that runs rolls back
	rollbacks  int          // of the transaction, when it was loaded
}

// An ownState is a state with the transaction's own events so far.
type ownState[S any] struct {
	state   S
	version uint64
	events  int    // of the transaction, of all streams, that were looked at
	index   uint16 // of the last of these
}

// loaded returns what the transaction knows of a stream that it loaded, nil if it
// did not.
func (m *Model[S]) loaded(tx *Tx, stream string) *loaded[S] {
	if tx.stateAt != nil {
		s, ok := tx.stateAt[stateKey{m, stream}].(*loaded[S])
		if !ok {
			return nil
		}
		return s
	}
	for i := range tx.states {
		s, ok := tx.states[i].(*loaded[S])
		if ok && s.Model == m && s.stream == stream {
			return s
		}
	}
	return nil
}

// A stateKey is a model and a stream.
type stateKey struct {
	model  any
	stream string
}

// A loadedState is a *loaded of some model.
type loadedState interface {
	follow(tx *Tx, p *part)
	stateKey() stateKey
}

func (s *loaded[S]) stateKey() stateKey { return stateKey{s.Model, s.stream} }

// noteState keeps what was loaded.
func (tx *Tx) noteState(s loadedState) {
	tx.states = append(tx.states, s)
	switch {
	case tx.stateAt != nil:
		tx.stateAt[s.stateKey()] = s
	case len(tx.states) > fewStates:
		tx.stateAt = make(map[stateKey]loadedState)
		for _, s := range tx.states {
			tx.stateAt[s.stateKey()] = s
		}
	}
}

// fewStates are looked through.
const fewStates = 8

// again returns the state once more. That what the transaction saw of the stream
// has not changed is a condition already.
func (s *loaded[S]) again(tx *Tx) (*S, error) {
	at := s.last
	if at != nil && !at.stands(tx) {
		at, s.safe = s.safe, nil
	}
	if at == nil || !at.stands(tx) {
		f := s.Model.folding(s.log, s.stream)
		if err := f.load(tx); err != nil {
			return nil, err
		}
		at = &ownState[S]{state: f.state, version: f.version}
	}
	s.last = nil // until it is whole
	if at.events <= tx.firm() && (s.safe == nil || at.events-s.safe.events >= safeDistance) {
		s.safe = at.copy()
	}
	if err := at.advance(tx, s); err != nil {
		return nil, err
	}
	s.last = at
	out := clone(at.state)
	return &out, nil
}

const safeDistance = 16 // events that are folded again after a rollback, about

// stands reports whether the events that the state is made of are still there:
// an event's index is never given to another one.
func (o *ownState[S]) stands(tx *Tx) bool {
	return o.events == 0 || o.events <= len(tx.events) && tx.events[o.events-1].index == o.index
}

func (o *ownState[S]) copy() *ownState[S] {
	out := *o
	out.state = clone(o.state)
	return &out
}

// advance folds the events that came since.
func (o *ownState[S]) advance(tx *Tx, s *loaded[S]) error {
	err := tx.foldOwn(s.stream, o.events, o.version, func(r *Record) error {
		o.version = r.Version
		return s.apply(&o.state, r)
	})
	if n := len(tx.events); n > 0 {
		o.events, o.index = n, tx.events[n-1].index
	}
	return err
}

// foldOwn passes the transaction's own events of a stream behind the first n of
// all to apply. They follow a version.
func (tx *Tx) foldOwn(stream string, n int, version uint64, apply func(*Record) error) error {
	var c *placed
	for i := range tx.ownEvents(stream, n) {
		if c == nil {
			c = tx.ownCommit(shardOf(stream, len(tx.log.lanes)), tx.scopeMetas())
		}
		e := tx.events[i]
		version++
		e.version = version
		r := c.record(tx.log, c.shard, c.rev, &e)
		if tx.log.casts != nil {
			if err := tx.log.casts.apply(&r); err != nil {
				return err
			}
		}
		if err := apply(&r); err != nil {
			return err
		}
	}
	return nil
}

// begin is called where a savepoint begins, behind so many events.
func (n *nesting) begin(events int) {
	if n.depth == 0 {
		n.base = events
	}
}

// firm returns how many events no savepoint that runs rolls back.
func (tx *Tx) firm() int {
	if n := tx.nested; n != nil && n.depth > 0 {
		return n.base
	}
	return len(tx.events)
}

// follow brings the cached state in line with what the transaction has just written, so
// that whoever loads it next need not read it. Of a hot stream others have seen it
// early and have done so already.
func (s *loaded[S]) follow(tx *Tx, p *part) {
	if p.lane != s.lane {
		return
	}
	i := slices.IndexFunc(p.spans, func(span streamSpan) bool { return span.name == s.stream })
	if i < 0 {
		return
	}
	first := p.spans[i].first
	live, ok := any(&s.state).(sys.Live)
	ok = ok && s.last == nil && s.rollbacks == tx.rollbacks && s.version+1 == first
	if ok {
		s.settle(live, p, uint32(i))
	}
	if !ok || sys.CheckLive != nil {
		next := &folding[S]{Model: s.Model, log: s.log, lane: s.lane, stream: s.stream, key: s.key}
		next.start(&sight{lane: p.lane, tail: p.rev})
		switch {
		case next.version+1 != first || next.write(p, uint32(i)) != nil:
		case ok:
			sys.CheckLive(s.state, next.state)
		default:
			next.offer(p)
		}
	}
	if ok {
		s.offer(p) // nobody has it any more
	}
}

// write folds the events of a span of a commit. An error is for whoever loads the
// state to find out.
func (f *folding[S]) write(p *part, span uint32) error {
	at := &placed{p.commit, p.lane.shard, p.rev}
	for n := range p.commit.events {
		if e := &p.commit.events[n]; e.span == span {
			if err := f.event(at, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle says that the state has them already.
func (f *folding[S]) settle(state sys.Live, p *part, span uint32) {
	at := &placed{p.commit, p.lane.shard, p.rev}
	for n := range p.commit.events {
		if e := &p.commit.events[n]; e.span == span {
			r := at.record(f.log, at.shard, at.rev, e)
			f.version, f.last, f.rev = e.version, r.ID, p.rev
			state.Settle(sys.Yes{}, e.version, e.typ, r.Meta.Correlation)
		}
	}
}

// offer keeps the state, which is durable.
func (f *folding[S]) offer(p *part) {
	durable := &sight{lane: p.lane}
	f.snapshot(durable)
	f.keep(f.state, durable)
}
