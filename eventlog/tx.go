package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/sys"
)

// A Tx is one run of an Update's or a View's function. What it reads becomes
// a condition, what it writes is written when the function returns nil; all of
// it happens at one moment, or nothing. It lives as long as its function runs
// and belongs to the goroutine that runs it.
type Tx struct {
	log    *Log
	ctx    context.Context
	id     ID
	now    int64 // what Time returned; 0: nobody asked
	meta   Meta
	view   bool // may not write; sees durable commits only
	over   bool
	reads  []read
	cells  []cellUse
	cellAt map[string]int // of each key, in cells
	tables []string       // whose set of keys changes
	guests []*lane        // of the tables that were used
	events []event
	onces  []once
	states []interface{ follow(*part) } // that were loaded
	sizes  []shardSize                  // of what is written, by shard
	index  int                          // number of the next event; savepoints do not turn it back

	turn *turn

	room struct { // for the usual few, in one allocation
		reads  [1]read
		events [1]event
		sizes  [1]shardSize
		member member
	}
}

func (l *Log) begin(ctx context.Context) *Tx {
	tx := &Tx{log: l, ctx: ctx, id: newID()}
	tx.reads, tx.events, tx.sizes = tx.room.reads[:0], tx.room.events[:0], tx.room.sizes[:0]
	return tx
}

type shardSize struct{ shard, bytes int }

var errOver = errors.New("eventlog: the transaction is over: a Tx must not outlive its function")

// Context returns the context of the Update or View.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Log returns the log.
func (tx *Tx) Log() *Log { return tx.log }

// ID returns the id that the transaction's commit will have. It is another one
// when the function runs again.
func (tx *Tx) ID() ID { return tx.id }

// NextID returns the id that the next event which is appended will have. Like ID
// it is another one when the function runs again.
func (tx *Tx) NextID() ID { return tx.id.event(tx.index) }

// Time returns the log's time when the function first asked for it: later than
// everything that it had seen, not later than the commit's own time.
func (tx *Tx) Time() time.Time { return time.Unix(0, tx.time()).UTC() }

func (tx *Tx) time() int64 {
	if tx.now == 0 {
		tx.now = tx.log.clock.read()
	}
	return tx.now
}

// Shard returns the shard that the transaction is at home in: that of its first
// append, or else of its first read. ok is false when it did neither.
func (tx *Tx) Shard() (shard int, ok bool) {
	switch {
	case len(tx.events) > 0:
		return shardOf(tx.events[0].stream, len(tx.log.lanes)), true
	case len(tx.reads) > 0:
		return tx.reads[0].lane.shard, true
	}
	return 0, false
}

// Meta returns the metadata of the commit, for the function to fill in.
func (tx *Tx) Meta() *Meta { return &tx.meta }

// Append adds events to the end of a stream, which lies in any shard and need
// not exist. Events are encoded before Append returns. An error leaves the
// transaction as it was: an invalid name or a limit; the function may go on.
func (tx *Tx) Append(stream string, events ...Event) error {
	if err := tx.append(stream, events); err != nil {
		return fmt.Errorf("eventlog: append %s: %w", stream, err)
	}
	return nil
}

func (tx *Tx) append(stream string, events []Event) error {
	switch {
	case tx.over:
		return errOver
	case tx.view:
		return ErrReadOnly
	case len(events) == 0:
		return nil
	}
	if len(events) == 1 {
		return tx.appendOne(stream, events[0])
	}
	mark := tx.mark()
	for _, e := range events {
		if err := tx.appendOne(stream, e); err != nil {
			tx.rollback(mark)
			return err
		}
	}
	return nil
}

// appendOne leaves nothing behind when it fails.
func (tx *Tx) appendOne(stream string, e Event) error {
	system := false
	if s, ok := e.(sys.Event); ok {
		system = true
		e = Tagged(Raw{Type: s.Type, Data: s.Data}, s.Tags...)
	}
	if tx.index >= MaxEvents {
		return fmt.Errorf("%w: more than %d events in a transaction", ErrTooLarge, MaxEvents)
	}
	ev, err := tx.log.codecs.encode(e)
	if err != nil {
		return err
	}
	ev.stream = stream
	if err := ev.check(system); err != nil {
		return err
	}
	if err := tx.grow(shardOf(stream, len(tx.log.lanes)), ev.size()); err != nil {
		return err
	}
	ev.index = tx.index
	tx.index++
	tx.events = append(tx.events, ev)
	return nil
}

// check refuses an event beyond the limits.
func (e *event) check(system bool) error {
	check := checkUserName
	if system {
		check = checkName
	}
	if err := check("stream", e.stream); err != nil {
		return err
	}
	if err := check("event type", e.typ); err != nil {
		return err
	}
	if err := checkText("codec", e.codec); err != nil {
		return err
	}
	if len(e.data) > MaxEvent {
		return fmt.Errorf("%w: event %s of %d bytes, at most %d", ErrTooLarge, e.typ, len(e.data), MaxEvent)
	}
	if len(e.tags) > MaxTags {
		return fmt.Errorf("%w: event %s with %d tags, at most %d", ErrTooLarge, e.typ, len(e.tags), MaxTags)
	}
	for _, t := range e.tags {
		if err := check("tag", t); err != nil {
			return err
		}
	}
	return nil
}

// grow notes that so many bytes more go into a shard, within the limits.
func (tx *Tx) grow(shard, bytes int) error {
	total, at := bytes, -1
	for i, s := range tx.sizes {
		total += s.bytes
		if s.shard == shard {
			at = i
		}
	}
	if at < 0 {
		at = len(tx.sizes)
		tx.sizes = append(tx.sizes, shardSize{shard: shard})
	}
	if n := tx.sizes[at].bytes + bytes; n > MaxCommit {
		return fmt.Errorf("%w: commit of %d bytes or more in shard %d, at most %d", ErrTooLarge, n, shard, MaxCommit)
	}
	if total > MaxTx {
		return fmt.Errorf("%w: transaction of %d bytes or more, at most %d", ErrTooLarge, total, MaxTx)
	}
	tx.sizes[at].bytes += bytes
	return nil
}

// Room returns how many bytes more, about, the transaction can write to a shard.
func (tx *Tx) Room(shard int) int {
	room, total := MaxCommit, MaxTx
	for _, s := range tx.sizes {
		total -= s.bytes
		if s.shard == shard {
			room -= s.bytes
		}
	}
	return max(0, min(room, total))
}

// Savepoint runs fn. When fn returns an error (or panics), what it wrote is
// rolled back; what it read stays a condition. Savepoints nest.
func (tx *Tx) Savepoint(fn func() error) (err error) {
	mark, done := tx.mark(), false
	defer func() {
		if !done || err != nil {
			tx.rollback(mark)
		}
	}()
	err = fn()
	done = true
	return err
}

type savepoint struct {
	events, onces, tables int
	meta                  Meta
	sizes                 []shardSize
	cells                 []cellUse
}

func (tx *Tx) mark() savepoint {
	meta := tx.meta
	meta.Extra = maps.Clone(meta.Extra)
	return savepoint{len(tx.events), len(tx.onces), len(tx.tables), meta,
		append([]shardSize(nil), tx.sizes...), append([]cellUse(nil), tx.cells...)}
}

func (tx *Tx) rollback(s savepoint) {
	tx.events, tx.onces, tx.tables = tx.events[:s.events], tx.onces[:s.onces], tx.tables[:s.tables]
	tx.meta, tx.sizes = s.meta, s.sizes
	for i := range tx.cells {
		u := &tx.cells[i]
		if i < len(s.cells) {
			*u = s.cells[i]
		} else {
			u.op, u.value = driver.Check, nil // that it was read stays
		}
	}
}

// Once records an idempotency id under a stream, with this transaction. done
// says that an earlier transaction recorded it: the function should then
// return nil without writing. Ids are kept for ever.
func (tx *Tx) Once(stream, id string) (done bool, err error) {
	first, _, err := tx.once(stream, id, 0)
	if err != nil {
		return false, fmt.Errorf("eventlog: once %s %q: %w", stream, id, err)
	}
	return first != nil, nil
}

// once returns what an earlier transaction recorded under id, and where, or
// records it.
func (tx *Tx) once(stream, id string, hash uint64) (*once, driver.Revision, error) {
	switch {
	case tx.over:
		return nil, 0, errOver
	case tx.view:
		return nil, 0, ErrReadOnly
	}
	if err := checkUserName("stream", stream); err != nil {
		return nil, 0, err
	}
	if err := checkName("id", id); err != nil {
		return nil, 0, err
	}
	key := onceKey(stream, id)
	if err := driver.CheckName(key); err != nil {
		return nil, 0, err
	}
	for i := range tx.onces {
		if o := &tx.onces[i]; o.stream == stream && o.id == id {
			return o, 0, nil
		}
	}
	shard := shardOf(stream, len(tx.log.lanes))
	for c, err := range tx.commits(tx.log.lanes[shard], key, driver.Range{Limit: 1}) {
		if err != nil {
			return nil, 0, err
		}
		for i := range c.onces {
			if o := &c.onces[i]; o.stream == stream && o.id == id {
				return o, c.rev, nil
			}
		}
		return nil, 0, &driver.CorruptError{Shard: shard, Revision: c.rev, Reason: fmt.Sprintf("indexed under id %q of %s, which it lacks", id, stream)}
	}
	if err := tx.grow(shard, len(stream)+len(id)+14); err != nil {
		return nil, 0, err
	}
	tx.onces = append(tx.onces, once{stream, id, hash})
	return nil, 0, nil
}

// contentHash identifies what an append carries.
func contentHash(events []event) uint64 {
	h := xxhash.New()
	var b []byte
	for i := range events {
		e := &events[i]
		b = appendStrings(appendString(appendString(b[:0], e.typ), e.codec), e.tags)
		b = appendString(b, string(e.data))
		_, _ = h.Write(b)
	}
	return max(h.Sum64(), 1)
}

// member returns what the transaction stands for in the lanes: nil when it
// neither read nor wrote anything.
func (tx *Tx) member(write bool) (*member, error) {
	m := &tx.room.member
	m.parts, m.reads, m.write = m.room.parts[:0], tx.reads, write && tx.writes()
	if m.write {
		if err := tx.meta.check(); err != nil {
			return nil, err
		}
		tx.addCommits(m)
	}
	for _, u := range tx.cells {
		if !m.write {
			u.op, u.value = driver.Check, nil
		}
		m.cells = append(m.cells, u)
	}
	for _, r := range tx.reads {
		m.stand(r.lane)
	}
	for _, ln := range tx.guests {
		m.stand(ln)
	}
	if len(m.parts) == 0 {
		return nil, nil
	}
	m.done = make(chan error, 1)
	return m, tx.measure(m)
}

func (tx *Tx) writes() bool {
	return len(tx.events) > 0 || len(tx.onces) > 0 || len(tx.tables) > 0 ||
		slices.ContainsFunc(tx.cells, func(u cellUse) bool { return u.op != driver.Check })
}

// stand makes sure that m has a part in a lane.
func (m *member) stand(ln *lane) *part {
	for _, p := range m.parts {
		if p.lane == ln {
			return p
		}
	}
	p := &m.room.part
	if len(m.parts) > 0 {
		p = new(part)
	}
	p.lane = ln
	m.parts = append(m.parts, p)
	return p
}

// addCommits spreads what was written over the shards.
func (tx *Tx) addCommits(m *member) {
	n := len(tx.log.lanes)
	if len(tx.sizes) == 1 && len(tx.events) > 0 {
		tx.commit(m, tx.sizes[0].shard).events = tx.events
	} else {
		tx.spreadEvents(m)
	}
	for _, o := range tx.onces {
		c := tx.commit(m, shardOf(o.stream, n))
		c.onces = append(c.onces, o)
	}
	for _, t := range tx.tables {
		c := tx.commit(m, tableShard(t, n))
		c.tables = append(c.tables, t)
	}
	for _, u := range tx.cells {
		if u.op != driver.Check && len(m.parts) == 0 {
			tx.commit(m, tableShard(tableOf(u.key), n)) // to stand for the write
		}
	}
}

// commit returns that of m in a shard.
func (tx *Tx) commit(m *member, shard int) *commit {
	p := m.stand(tx.log.lanes[shard])
	if p.commit == nil {
		p.commit = &m.room.commit
		if len(m.parts) > 1 {
			p.commit = new(commit)
		}
		p.commit.id, p.commit.meta = tx.id, tx.meta
	}
	return p.commit
}

func (tx *Tx) spreadEvents(m *member) {
	for i := range tx.events {
		c := tx.commit(m, shardOf(tx.events[i].stream, len(tx.log.lanes)))
		if c.events == nil {
			c.events = make([]event, 0, len(tx.events)-i)
		}
		c.events = append(c.events, tx.events[i])
	}
}

// measure prepares m's commits for their places and holds them against the
// limits.
func (tx *Tx) measure(m *member) error {
	for _, p := range m.parts {
		if p.commit == nil {
			continue
		}
		var spans []streamSpan
		if p.commit == &m.room.commit {
			spans, p.keys, p.was = m.room.spans[:0], m.room.keys[:0], m.room.was[:0]
		}
		p.commit.spans = p.commit.streams(spans)
		p.keys = p.commit.keys(p.keys, 0, tx.log.opts.Index)
		if n := len(p.keys); n > driver.MaxCommitKeys {
			return fmt.Errorf("%w: %d streams, tags and ids in shard %d, at most %d", ErrTooLarge, n, p.lane.shard, driver.MaxCommitKeys)
		}
		size := p.commit.size() + namesSize(p.keys)
		if size > MaxCommit {
			return fmt.Errorf("%w: commit of %d bytes with its index keys in shard %d, at most %d", ErrTooLarge, size, p.lane.shard, MaxCommit)
		}
		m.size += size
	}
	for _, u := range m.cells {
		m.size += len(u.key) + len(u.value)
	}
	if m.size > MaxTx {
		return fmt.Errorf("%w: transaction of %d bytes with its index keys, at most %d", ErrTooLarge, m.size, MaxTx)
	}
	return nil
}

// namesSize is the length of all names, escaped: the limit of a commit leaves
// room for them in what the smallest store takes.
func namesSize(keys []driver.Key) (n int) {
	for _, k := range keys {
		n += driver.EscapedLen(k.Name)
	}
	return n
}
