package eventlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Relaxed says how a relaxed append came: what it had before it had a place.
// With ID, Seen and Time it stands in the timeline, see [Query].Timeline.
type Relaxed struct {
	ID   ID              // of the append: the one that its events' ids begin with
	Seen driver.Revision // the last revision of the shard that its process had seen
	Time time.Time       // of the append; Record.Time is that of the fold
}

// relaxed is an append that a commit folds. Its events stand together, in their
// order.
type relaxed struct {
	id     ID
	seen   driver.Revision
	time   int64
	events int
	cell   looseName // that it is the first of in this commit; zero: it is not the first
}

// folded is what an export says of an append beyond [Relaxed].
type folded struct {
	commit ID
	cell   looseName // that it is the first of; zero: it is not the first
}

func (a *relaxed) public() *Relaxed {
	return &Relaxed{ID: a.id, Seen: a.seen, Time: time.Unix(0, a.time).UTC()}
}

// own is the name of a cell that begins with the append.
func (a *relaxed) own() looseName { return looseName{a.seen, a.time, a.id} }

// What the stored form of a relaxed append says of its cell.
const (
	cellOther = iota // another append of the cell stands before it in this commit
	cellOwn          // the cell is named after it
	cellNamed        // the cell is named after one that was not folded; time and id follow

	relaxedMinSize = 16 + 1 + 8 + 1 + 1
	relaxedMaxSize = 16 + 10 + 8 + 5 + 1 + 8 + 16
)

// appendRelaxed writes the appends that c folds.
func (c *commit) appendRelaxed(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(c.relaxed)))
	for i := range c.relaxed {
		a := &c.relaxed[i]
		b = append(b, a.id[:]...)
		b = binary.AppendUvarint(b, uint64(a.seen))
		b = binary.LittleEndian.AppendUint64(b, uint64(a.time))
		b = binary.AppendUvarint(b, uint64(a.events))
		switch a.cell {
		case looseName{}:
			b = append(b, cellOther)
		case a.own():
			b = append(b, cellOwn)
		default:
			b = binary.LittleEndian.AppendUint64(append(b, cellNamed), uint64(a.cell.time))
			b = append(b, a.cell.id[:]...)
		}
	}
	return b
}

func (c *commit) decodeRelaxed(d *decoder) {
	n := d.count(relaxedMinSize)
	if n == 0 {
		d.fail(errors.New("relaxed appends, but none"))
		return
	}
	c.relaxed = make([]relaxed, n)
	for i := range c.relaxed {
		c.relaxed[i].decode(d)
	}
}

func (a *relaxed) decode(d *decoder) {
	copy(a.id[:], d.bytes(16))
	a.seen, a.time = driver.Revision(d.uvarint()), int64(d.fixed64())
	events := d.uvarint()
	if events == 0 || events > MaxEvents {
		d.fail(fmt.Errorf("a relaxed append of %d events", events))
		return
	}
	a.events = int(events)
	kind := d.bytes(1)
	switch {
	case len(kind) == 0 || kind[0] == cellOther:
	case kind[0] == cellOwn:
		a.cell = a.own()
	case kind[0] == cellNamed:
		a.cell.seen, a.cell.time = a.seen, int64(d.fixed64())
		copy(a.cell.id[:], d.bytes(16))
	default:
		d.fail(fmt.Errorf("a relaxed append of kind %d", kind[0]))
	}
}

// A partCounter tells which append each event in turn belongs to.
type partCounter struct {
	list  []relaxed
	at, n int
}

// next returns the place of the next event's append, from 1.
func (p *partCounter) next() uint16 {
	if len(p.list) == 0 {
		return 0
	}
	if p.at < len(p.list)-1 && p.n == p.list[p.at].events {
		p.at, p.n = p.at+1, 0
	}
	p.n++
	return uint16(p.at + 1)
}

// over checks that there were as many events as the appends have.
func (p *partCounter) over() error {
	if len(p.list) > 0 && (p.at != len(p.list)-1 || p.n != p.list[p.at].events) {
		return errors.New("relaxed appends have not the events that the commit has")
	}
	return nil
}

// errExpectRelaxed: an expectation is checked at an append's place, and a relaxed
// one has none yet when it is answered.
var errExpectRelaxed = errors.New("a relaxed append cannot expect a version: append it strictly")

// appendRelaxed puts events into the log without a place.
func (l *Log) appendRelaxed(ctx context.Context, stream string, o *AppendOptions, events []Event) error {
	if o.Expect.set {
		return errExpectRelaxed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	a, err := l.looseAppend(ctx, stream, o, events)
	if err != nil || a == nil {
		return err
	}
	return l.loosen(ctx, a)
}

// looseAppend returns what is to be put, nil for nothing. It holds it against the
// limits of the commit that will fold it, so that it fits there alone.
func (l *Log) looseAppend(ctx context.Context, stream string, o *AppendOptions, events []Event) (*looseAppend, error) {
	tx := l.begin(ctx)
	tx.meta = o.Meta.clone()
	if err := tx.append(stream, events); err != nil {
		return nil, err
	}
	if o.ID != "" {
		if err := checkUserName("stream", stream); err != nil {
			return nil, err
		}
		if err := checkOnce(stream, o.ID); err != nil {
			return nil, err
		}
		tx.onces = []once{{stream, o.ID, contentHash(tx.events)}}
	}
	longest := relaxed{id: tx.id, events: len(tx.events), cell: looseName{id: tx.id}}
	tx.relaxed = []relaxed{longest}
	for i := range tx.events {
		tx.events[i].part = 1
	}
	m, err := tx.member(true)
	if err != nil || m == nil {
		return nil, err
	}
	p := m.parts[0]
	a := &looseAppend{commit: p.commit, member: m, lane: p.lane, keys: len(p.keys)}
	a.commit.relaxed = nil
	for i := range a.commit.events {
		a.commit.events[i].version, a.commit.events[i].part = uint64(i+1), 0
	}
	return a, nil
}
