package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// An arrival is a transaction of an export on its way into the log.
type arrival struct {
	member *member
	line   int64
	events int
}

// What may be in flight: enough to share durable writes in every shard.
const (
	maxArrivals     = 4096
	maxArrivalBytes = 8 << 20
)

// maxDrift is by how many nanoseconds transactions may be set apart that come to
// lie in one shard.
const maxDrift = 1000

// transaction compares a transaction with what the log has in its place, or puts
// it there.
func (im *importer) transaction(ctx context.Context, t *transaction) error {
	targets, err := t.targets(im.log.Shards(), im.same)
	if err != nil || len(targets) == 0 {
		return err
	}
	missing := 0
	for _, at := range targets {
		have, err := im.have[at.shard].peek(ctx)
		if err != nil {
			return err
		}
		if have == nil {
			missing++
			continue
		}
		if drift := have.time - t.time; !im.same && drift > 0 && drift <= maxDrift {
			at.commit.time = have.time
		}
		if err := at.differs(have); err != nil {
			return err
		}
		im.last[at.shard] = have.time
		im.have[at.shard].next()
	}
	switch missing {
	case 0:
		im.result.Repeated++
		return nil
	case len(targets):
		return im.send(ctx, t, targets)
	}
	return fmt.Errorf("%w: the log has only a part of transaction %s", ErrConflict, t.id)
}

// send puts a transaction behind everything sent before.
func (im *importer) send(ctx context.Context, t *transaction, targets []*target) error {
	l := im.log
	m := &member{write: true, dated: true, time: t.time, done: make(chan error, 1)}
	for _, at := range targets {
		m.stand(l.lanes[at.shard]).commit = at.commit
		if !im.same {
			m.time = max(m.time, im.last[at.shard]+1)
		}
	}
	if m.time-t.time > maxDrift {
		return fmt.Errorf("%w: too many transactions at %s in one shard: import into a log with %d shards", ErrClock, formatTime(t.time), im.header.Shards)
	}
	if err := l.clock.ahead(m.time, l.opts.MaxSkew); err != nil {
		return err
	}
	if err := (&Tx{log: l}).measure(m); err != nil {
		return err
	}
	if err := im.join(ctx, m, targets); err != nil {
		return err
	}
	for _, at := range targets {
		im.last[at.shard] = m.time
		im.next[at.shard]++
	}
	im.flight = append(im.flight, arrival{m, t.line, len(t.events)})
	im.bytes += m.size
	return im.wait(ctx, maxArrivals)
}

// join puts m into its lanes, on the condition that its streams have the
// versions that the export says.
func (im *importer) join(ctx context.Context, m *member, targets []*target) error {
	l := im.log
	for {
		l.mu.Lock()
		ln, unknown, err := im.expectVersions(m, targets)
		if err == nil && ln == nil {
			err = l.join(m)
		}
		l.mu.Unlock()
		switch {
		case ln != nil:
			if err := l.learnHead(ctx, ln, unknown); err != nil {
				return err
			}
		case errors.Is(err, errOrder):
			return fmt.Errorf("%w: the log has later commits than %s, which the export does not have", ErrConflict, formatTime(m.time))
		case !errors.Is(err, errLookUp):
			return err
		}
	}
}

// expectVersions checks the versions that the streams of m have now, pending
// commits included, and makes them conditions. It returns a stream whose version
// its lane does not know, if any. The caller holds the lock.
func (im *importer) expectVersions(m *member, targets []*target) (ln *lane, unknown string, err error) {
	m.reads = m.reads[:0]
	for i, p := range m.parts {
		// Directly behind what was sent before: when that was lost, so is p.
		m.reads = append(m.reads, read{lane: p.lane, rev: driver.Revision(im.next[p.lane.shard]), early: true, epoch: im.epoch[p.lane.shard]})
		for _, s := range p.spans {
			head, known := p.lane.window.head(s.name)
			if !known {
				return p.lane, s.name, nil
			}
			if s.first != head+1 {
				return nil, "", targets[i].misplaced(s, head)
			}
			m.reads = append(m.reads, read{lane: p.lane, key: s.name, rev: p.lane.next, pos: head, known: true,
				early: len(p.lane.pending) > 0, epoch: p.lane.epoch})
		}
	}
	return nil, "", nil
}

// misplaced says that a stream is not where the export goes on.
func (t *target) misplaced(s streamSpan, head uint64) error {
	for i := range t.commit.events {
		if t.commit.events[i].stream == s.name {
			return &lineError{t.lines[i], fmt.Errorf("%s version %d: %w: the stream is at version %d", s.name, s.first, ErrConflict, head)}
		}
	}
	return nil
}

// wait returns when at most so many transactions are in flight, or one failed.
func (im *importer) wait(ctx context.Context, most int) error {
	for len(im.flight) > most || im.bytes > maxArrivalBytes {
		a := im.flight[0]
		im.flight = im.flight[1:]
		im.bytes -= a.member.size
		err := im.answer(ctx, a)
		switch {
		case err == nil:
			im.result.Transactions++
			im.result.Events += int64(a.events)
		case im.failed == nil:
			im.failed = &lineError{a.line, err}
		}
	}
	return im.failed
}

func (im *importer) answer(ctx context.Context, a arrival) error {
	select {
	case err := <-a.member.done:
		if errors.Is(err, errAgain) {
			return fmt.Errorf("%w: somebody else writes to the log", ErrConflict)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}
