package eventlog

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A looseAppend is a relaxed append on its way into a cell.
type looseAppend struct {
	commit *commit
	member *member // for the room that it takes, and its answer
	lane   *lane
	keys   int
	cell   *looseCell // that it was read from, when it is folded
}

func (a *looseAppend) name() looseName {
	return looseName{a.cell.seen, a.commit.time, a.commit.id}
}

// A looseQueue is who waits for a cell. While one put is under way the next
// callers queue up and share the next cell. A put whose answer was lost is no
// longer under way in this sense: it conflicts with nothing, so nobody has to wait
// for it to become known. It is guarded by Log.mu.
type looseQueue struct {
	waiting []*looseAppend
	putting bool
}

// What shares a cell. It must fit into one commit when it is folded.
const (
	looseBytes   = 256 << 10
	looseAppends = 2048
	looseMaxKeys = 2000
)

// loosen puts an append and waits for the answer.
func (l *Log) loosen(ctx context.Context, a *looseAppend) error {
	for {
		l.mu.Lock()
		wait := l.room.full()
		if wait == nil {
			break
		}
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.room.take(a.member)
	q := &a.lane.loose
	q.waiting = append(q.waiting, a)
	if !q.putting {
		q.putting = true
		l.work.Add(1)
		go l.putLoose(a.lane)
	}
	l.mu.Unlock()
	select {
	case err := <-a.member.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-a.member.done: // it was answered just now
		return err
	default:
		return fmt.Errorf("%w: %w while the write was under way", ErrUnknown, context.Cause(ctx))
	}
}

// putLoose puts what waits in a lane until nothing does.
func (l *Log) putLoose(ln *lane) {
	defer l.work.Done()
	for {
		runtime.Gosched() // as for a group: let those join who are about to
		runtime.Gosched()
		g := l.formLoose(ln)
		if g == nil {
			return
		}
		l.put(g)
	}
}

// A looseGroup is the appends that share a cell.
type looseGroup struct {
	lane    *lane
	name    looseName
	appends []*looseAppend
	write   driver.Write
	events  int
	begin   time.Time
}

// formLoose takes who waits, up to the limits; nil when nobody does. Who cannot be
// stamped is refused alone.
func (l *Log) formLoose(ln *lane) *looseGroup {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := &ln.loose
	g := &looseGroup{lane: ln, begin: time.Now()}
	g.name.seen = max(ln.tail, driver.Revision(l.seen[ln.shard].Load()))
	n, size, keys := 0, 0, 0
	for _, a := range q.waiting {
		if len(g.appends) > 0 && (size+a.member.size > looseBytes || keys+a.keys > looseMaxKeys || len(g.appends) == looseAppends) {
			break
		}
		n++
		var err error
		if a.commit.time, err = l.clock.stamp(l.opts.MaxSkew); err != nil {
			l.room.give(a.member)
			a.member.done <- err
			continue
		}
		size, keys = size+a.member.size, keys+a.keys
		g.events += len(a.commit.events)
		g.appends = append(g.appends, a)
	}
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil // for the memory of those who went
	}
	if len(g.appends) == 0 {
		q.putting = false
		return nil
	}
	g.name.time, g.name.id = g.appends[0].commit.time, g.appends[0].commit.id
	return g
}

// build makes the write of a group.
func (g *looseGroup) build() {
	commits := make([]*commit, len(g.appends))
	for i, a := range g.appends {
		commits[i] = a.commit
	}
	absent := uint64(0)
	g.write = driver.Write{ID: newID(), Cells: []driver.CellOp{{Op: driver.Put, If: &absent, Cell: driver.Cell{
		Key: g.name.cell(g.lane.shard), Version: uint64(g.name.time), Value: encodeLoose(g.lane.shard, g.name.seen, commits),
	}}}}
}

// put writes a cell. When its answer is lost the write is repeated beside those
// that come behind it, until it is known.
func (l *Log) put(g *looseGroup) {
	g.build()
	err := l.driver.Write(l.ctx, g.write)
	if !errors.Is(err, ErrUnknown) {
		l.answerLoose(g, err)
		return
	}
	l.work.Add(1)
	go func() {
		defer l.work.Done()
		l.answerLoose(g, l.repeatLoose(g, err))
	}()
}

// repeatLoose repeats a put until its outcome is known. Nobody else writes a cell
// of this name, so the cell is there because the put arrived. That it was put once
// more after it had been folded does no harm: the key of the fold tells.
func (l *Log) repeatLoose(g *looseGroup, err error) error {
	for attempt := 0; ; attempt++ {
		l.opts.Logger.Warn("store gave no answer to a put of relaxed appends; repeating it", "attempt", attempt+1, "err", err)
		if errors.Is(err, ErrClosed) {
			return err // the store takes no more writes: the doubt stays
		}
		pause(l.ctx, attempt)
		last := err
		err = l.driver.Write(l.ctx, g.write)
		var taken *driver.CellError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &taken):
			if taken.Version == g.write.Cells[0].Cell.Version {
				return nil
			}
			return fmt.Errorf("%w: %w: a cell that nobody else writes", ErrCorrupt, err)
		case l.ctx.Err() != nil:
			return fmt.Errorf("%w: the log was closed while the store did not answer: %w", ErrUnknown, last)
		case errors.Is(err, ErrClosed) && !errors.Is(err, ErrUnknown):
			return fmt.Errorf("%w: %w", ErrUnknown, err) // whether the one before arrived stays open
		}
	}
}

// answerLoose gives the callers of a group their answers.
func (l *Log) answerLoose(g *looseGroup, err error) {
	if err != nil && !errors.Is(err, ErrUnknown) && l.ctx.Err() != nil {
		err = fmt.Errorf("%w: the log was closed while the store did not answer: %w", ErrUnknown, err)
	}
	l.mu.Lock()
	var hear []func(shard int)
	if err == nil {
		hear = l.onLoose.now()
		l.keepLoose(g.lane.shard, true)
	}
	for _, a := range g.appends {
		l.room.give(a.member)
	}
	l.mu.Unlock()
	if f := l.opts.Hooks.Loose; f != nil && err == nil {
		f(LooseInfo{Shard: g.lane.shard, Appends: len(g.appends), Events: g.events,
			Bytes: len(g.write.Cells[0].Cell.Value), Duration: time.Since(g.begin)})
	}
	for _, a := range g.appends {
		a.member.done <- err
	}
	for _, f := range hear {
		f(g.lane.shard)
	}
}

// OnLoose calls f after each durable put of relaxed appends by this Log, until
// remove is called. f must return quickly and must not call the log; it is how a
// sequencer is woken.
func (l *Log) OnLoose(f func(shard int)) (remove func()) { return listen(l, l.onLoose, f) }
