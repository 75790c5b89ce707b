package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"unsafe"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/sys"
)

// A Model says how the events of a stream fold into a state S. It is a literal,
// declared once. A stream without events has the zero state.
//
// States are cached and kept as snapshots, so a long stream is not read again
// and again. A state that is plain values is copied; one that holds maps, slices
// or pointers implements `Clone() S`, or is folded anew each time. Snapshots are
// written only of states that survive encoding/json unchanged.
type Model[S any] struct {
	Name    string   // stored with snapshots
	Version int      // raise it when the folds change their meaning: older snapshots are then ignored
	Folds   Folds[S] // one for each event type
	// Else gets events that no fold knows. nil: they are an error, ErrUnknownType.
	Else func(*S, Record) error
	// Snapshot is how many events are folded before a snapshot is written: 0 is
	// 128, negative is never.
	Snapshot int
}

// Folds is a list of what On returns.
type Folds[S any] []Fold[S]

// A Fold applies the events of one type to a state.
type Fold[S any] struct {
	typ   string
	apply func(*S, *Record) error
}

// On makes a fold for the events of type E.
func On[S any, E Event](fn func(*S, E)) Fold[S] {
	var zero E
	return Fold[S]{zero.EventType(), func(s *S, r *Record) error {
		var e E
		if err := r.Decode(&e); err != nil {
			return err
		}
		fn(s, e)
		return nil
	}}
}

// Load returns the state of a stream as the transaction sees it, its own events
// included, and makes the stream's version a condition of the transaction. The caller may change what it gets; that changes nothing else.
func (m *Model[S]) Load(tx *Tx, stream string) (*S, error) {
	s, err := m.load(tx, stream)
	if err != nil {
		return nil, fmt.Errorf("eventlog: load %s %s: %w", m.Name, stream, err)
	}
	return s, nil
}

func (m *Model[S]) load(tx *Tx, stream string) (*S, error) {
	if err := checkName("stream", stream); err != nil {
		return nil, err
	}
	keep := !tx.view && canCopy[S]()
	if s := m.loaded(tx, stream); keep && s != nil {
		return s.again(tx)
	}
	s := &loaded[S]{folding: m.folding(tx.log, stream)}
	if err := s.load(tx); err != nil {
		return nil, err
	}
	if keep {
		s.rollbacks = tx.rollbacks
		tx.noteState(s)
	}
	err := tx.foldOwn(stream, 0, s.version, func(r *Record) error { return m.apply(&s.state, r) })
	return &s.state, err
}

// load folds what the transaction sees of the stream, without its own events.
func (f *folding[S]) load(tx *Tx) error {
	sight, err := tx.look(f.lane, f.stream)
	if err != nil {
		return err
	}
	if err := f.upTo(tx.ctx, sight); err != nil {
		return err
	}
	tx.learn(sight, f.stream, f.version)
	return nil
}

// At returns the state of q.Stream as it was at version q.To, or before the time
// q.Until, from durable commits.
func (m *Model[S]) At(ctx context.Context, l *Log, q Query) (*S, error) {
	out := new(S)
	if q.Stream == "" {
		return nil, errors.New("eventlog: At needs a stream")
	}
	for r, err := range l.Read(ctx, Query{Stream: q.Stream, To: q.To, Until: q.Until}) {
		if err == nil {
			err = m.apply(out, &r)
		}
		if err != nil {
			return nil, fmt.Errorf("eventlog: %s %s: %w", m.Name, q.Stream, err)
		}
	}
	return out, nil
}

// Fold applies records to a state that the caller holds.
func (m *Model[S]) Fold(s *S, records iter.Seq2[Record, error]) error {
	for r, err := range records {
		if err == nil {
			err = m.apply(s, &r)
		}
		if err != nil {
			return fmt.Errorf("eventlog: fold %s: %w", m.Name, err)
		}
	}
	return nil
}

func (m *Model[S]) apply(s *S, r *Record) error {
	for i := range m.Folds {
		if m.Folds[i].typ == r.Type {
			return m.Folds[i].apply(s, r)
		}
	}
	if m.Else != nil {
		return m.Else(s, *r)
	}
	return fmt.Errorf("%w: %s at version %d", ErrUnknownType, r.Type, r.Version)
}

// folding is a state on its way to a version.
type folding[S any] struct {
	*Model[S]
	log     *Log
	lane    *lane
	stream  string
	key     string // in the cache
	state   S
	version uint64
	last    ID              // of the event at version
	rev     driver.Revision // and of its commit
	saved   uint64          // version of the newest snapshot known
}

// cached is a state that others may use: of durable events, or of pending ones
// of a lane's epoch. It is never changed.
type cached[S any] struct {
	folding[S]
	early bool
	epoch uint64
}

// upTo folds what a sight shows. It starts at the cache or at a snapshot.
func (f *folding[S]) upTo(ctx context.Context, s *sight) error {
	copyable := canCopy[S]()
	if copyable {
		f.start(s)
	}
	if s.known && f.version == s.head {
		return nil
	}
	begin := f.version
	if first := f.firstEarly(s); first == 0 || f.version+1 < first {
		if err := f.foldDurable(ctx, s, copyable && f.every() > 0); err != nil {
			return err
		}
	}
	for _, p := range s.early {
		if err := f.commit(&placed{p.commit, s.lane.shard, p.rev}); err != nil {
			return err
		}
	}
	if copyable && f.version > begin {
		f.snapshot(s)
		f.keep(clone(f.state), s)
	}
	return nil
}

// firstEarly is the first pending version, 0 without one.
func (f *folding[S]) firstEarly(s *sight) uint64 {
	for _, p := range s.early {
		for _, span := range p.spans {
			if span.name == f.stream {
				return span.first
			}
		}
	}
	return 0
}

// foldDurable applies the durable events that the state lacks. When a first page
// does not hold them all, a snapshot may be nearer.
func (f *folding[S]) foldDurable(ctx context.Context, s *sight, snapshots bool) error {
	durable := *s
	durable.early = nil
	from := func() *cursor {
		return &cursor{log: f.log, shard: s.lane.shard, key: f.stream, left: driver.Range{From: f.version + 1},
			sight: &durable, limit: firstPage}
	}
	c := from()
	for {
		at, err := c.peek(ctx)
		if err != nil || at == nil {
			return err
		}
		if f.version == 0 && !c.done && snapshots {
			if err := f.restore(ctx, s); err != nil {
				return err
			}
			if f.version > 0 {
				c = from()
				continue
			}
			snapshots = false
		}
		if err := f.commit(at); err != nil {
			return err
		}
		c.next()
	}
}

// commit applies the events of a commit that the state lacks.
func (f *folding[S]) commit(c *placed) error {
	for i := range c.events {
		e := &c.events[i]
		if e.stream != f.stream || e.version <= f.version {
			continue
		}
		if err := f.event(c, e); err != nil {
			return err
		}
	}
	return nil
}

// event applies the next event of the stream.
func (f *folding[S]) event(c *placed, e *event) error {
	if e.version != f.version+1 {
		return &driver.CorruptError{Shard: c.shard, Revision: c.rev,
			Reason: fmt.Sprintf("%s goes from version %d to %d", f.stream, f.version, e.version)}
	}
	r := c.record(f.log, c.shard, c.rev, e)
	if f.log.casts != nil {
		if err := f.log.casts.apply(&r); err != nil {
			return err
		}
	}
	if err := f.apply(&f.state, &r); err != nil {
		return err
	}
	f.version, f.last, f.rev = e.version, r.ID, c.rev
	return nil
}

// folding returns the state of a stream before its first event.
func (m *Model[S]) folding(l *Log, stream string) folding[S] {
	return folding[S]{Model: m, log: l, lane: l.lanes[shardOf(stream, len(l.lanes))], stream: stream, key: m.Name + "\x00" + stream}
}

// start takes the cached state, if it lies within the sight and what it was made
// of is still there.
func (f *folding[S]) start(s *sight) {
	l := f.log
	l.mu.Lock()
	entry, _ := l.states.get(f.key)
	epoch, tail := s.lane.epoch, s.lane.tail
	l.mu.Unlock()
	c, ok := entry.(*cached[S])
	if !ok || unsafe.SliceData(c.Folds) != unsafe.SliceData(f.Folds) || c.rev > s.asOf() {
		return
	}
	if c.early && (c.epoch != epoch || s.view && c.rev > tail) { // the store may have got another commit there
		return
	}
	m := f.Model
	*f = c.folding
	f.Model, f.state = m, clone(c.state)
}

// keep offers the state, which nobody else has, to the cache.
func (f *folding[S]) keep(state S, s *sight) {
	c := &cached[S]{folding: *f, early: len(s.early) > 0, epoch: s.epoch}
	c.state = state
	f.log.mu.Lock()
	defer f.log.mu.Unlock()
	if !c.early || c.epoch == s.lane.epoch {
		f.log.states.put(f.key, c)
	}
}

// A cloner copies itself.
type cloner[S any] interface{ Clone() S }

func clone[S any](s S) S {
	if c, ok := any(&s).(cloner[S]); ok {
		return c.Clone()
	}
	return s
}

// canCopy reports whether a state can be shared by copying.
func canCopy[S any]() bool {
	var s *S
	if _, ok := any(s).(cloner[S]); ok {
		return true
	}
	return sys.Plain(reflect.TypeFor[S]())
}
