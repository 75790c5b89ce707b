package eventlog

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A commitLine is a line of an export that belongs to a commit: an event, or
// what else the commit holds.
type commitLine struct {
	tx     ID
	time   int64
	shard  int
	rev    driver.Revision
	meta   Meta
	event  *event   // with meta; nil: the line of the rest
	part   *relaxed // that the event belongs to; nil: none
	onces  []once
	tables []string
	line   int64
}

func (in *commitLine) parse(kind string, line []byte) error {
	if kind == kindCommit {
		return in.parseCommit(line)
	}
	var raw recordJSON
	if err := unmarshalStrict(line, &raw); err != nil {
		return err
	}
	r, err := raw.record()
	if err != nil {
		return err
	}
	in.tx, _ = r.ID.commit()
	if in.part, err = r.part(); err != nil {
		return err
	}
	if in.part != nil {
		in.tx = r.fold.commit
	}
	in.shard, in.rev, in.meta = r.Shard, r.Revision, r.Meta
	in.event = &event{stream: r.Stream, version: r.Version, index: uint16(r.Index), typ: r.Type, codec: r.Codec, tags: r.Tags, data: r.Data}
	if r.Version == 0 {
		return fmt.Errorf("%s version 0: versions start at 1", r.Stream)
	}
	if err := in.event.check(true); err != nil {
		return fmt.Errorf("%s version %d: %w", r.Stream, r.Version, err)
	}
	in.time, err = nanoseconds(r.Time)
	return err
}

func (in *commitLine) parseCommit(line []byte) error {
	var raw exportCommit
	err := unmarshalStrict(line, &raw)
	if err != nil {
		return err
	}
	if tx, n := raw.ID.commit(); tx.IsZero() || n >= 0 {
		return fmt.Errorf("id %q is not that of a commit", raw.ID)
	}
	in.tx, in.shard, in.rev, in.meta, in.tables = raw.ID, raw.Shard, raw.Revision, Meta(raw.Meta), raw.Tables
	for _, o := range raw.IDs {
		var hash uint64
		if o.Hash != "" {
			if hash, err = strconv.ParseUint(o.Hash, 16, 64); err != nil {
				return fmt.Errorf("hash %.40q of id %.60q", o.Hash, o.ID)
			}
		}
		if err := checkOnce(o.Stream, o.ID); err != nil {
			return err
		}
		in.onces = append(in.onces, once{o.Stream, o.ID, hash})
	}
	for _, t := range raw.Tables {
		if err := checkName("table name", t); err != nil {
			return err
		}
	}
	in.time, err = nanoseconds(raw.Time)
	return err
}

func checkOnce(stream, id string) error {
	if err := checkName("stream", stream); err != nil {
		return err
	}
	if err := checkName("id", id); err != nil {
		return err
	}
	return driver.CheckName(onceKey(stream, id))
}

// streams returns the names that bind the line to its shard.
func (in *commitLine) streams() []string {
	var names []string
	if in.event != nil {
		names = append(names, in.event.stream)
	}
	for _, o := range in.onces {
		names = append(names, o.stream)
	}
	return names
}

// A transaction is one of an export, gathered from its lines.
type transaction struct {
	id     ID
	time   int64
	metas  []Meta // of its events
	line   int64  // its first
	places []sourcePlace
	events []sourceEvent
	parts  []relaxed // appends that it folds
	onces  []once
	tables []string
}

// A sourcePlace is a commit of the transaction in the exported log.
type sourcePlace struct {
	shard  int
	rev    driver.Revision
	rest   bool // the line of kind commit was read
	events bool // a line of an event was
	meta   Meta // of the commit: that of its first event, if there is one
}

type sourceEvent struct {
	event
	line int64
}

func (t *transaction) holds(shard int, rev driver.Revision) bool {
	return slices.ContainsFunc(t.places, func(p sourcePlace) bool { return p.shard == shard && p.rev == rev })
}

func (t *transaction) add(in *commitLine) error {
	if t.line == 0 {
		t.line = in.line
	}
	i := slices.IndexFunc(t.places, func(p sourcePlace) bool { return p.shard == in.shard })
	if i < 0 {
		i = len(t.places)
		t.places = append(t.places, sourcePlace{shard: in.shard, rev: in.rev, meta: in.meta})
	}
	p := &t.places[i]
	switch {
	case p.rev != in.rev:
		return fmt.Errorf("transaction %s has two commits in shard %d, revisions %d and %d", t.id, in.shard, p.rev, in.rev)
	case in.event == nil && p.rest:
		return fmt.Errorf("transaction %s has two lines of kind commit in shard %d", t.id, in.shard)
	case (in.event == nil || !p.events) && !sameMeta(p.meta, in.meta):
		return fmt.Errorf("the first event of transaction %s in shard %d has other metadata than its line of kind commit", t.id, in.shard)
	case len(t.events) == MaxEvents && in.event != nil:
		return fmt.Errorf("%w: transaction %s has more than %d events", ErrTooLarge, t.id, MaxEvents)
	case in.event != nil:
		p.events = true
		t.addEvent(in)
		return nil
	}
	p.rest = true
	t.onces = append(t.onces, in.onces...)
	t.tables = append(t.tables, in.tables...)
	return nil
}

func (t *transaction) addEvent(in *commitLine) {
	if n := len(t.metas); n == 0 || !sameMeta(t.metas[n-1], in.meta) {
		t.metas = append(t.metas, in.meta)
	}
	e := *in.event
	e.meta = uint16(len(t.metas) - 1)
	if in.part != nil {
		e.part = t.addPart(in.part)
	}
	t.events = append(t.events, sourceEvent{e, in.line})
}

// meta is that of a commit without events in a shard of the log: what it was in
// the exported one, where that is the same. Otherwise all such commits of a
// transaction have one, and if there was none, it is that of the first commit.
func (t *transaction) meta(shard int, same bool) Meta {
	i := slices.IndexFunc(t.places, func(p sourcePlace) bool { return !p.events && (!same || p.shard == shard) })
	return t.places[max(i, 0)].meta
}

func sameMeta(a, b Meta) bool { return a.key() == b.key() }

// A target is what a transaction puts into one shard of the log.
type target struct {
	shard  int
	commit *commit
	lines  []int64 // of its events
}

// targets spreads the transaction over the shards of a log. A commit that holds
// nothing keeps its place only if the shards are the same.
func (t *transaction) targets(shards int, same bool) ([]*target, error) {
	if err := t.checkParts(); err != nil {
		return nil, err
	}
	// Those of a fold stand in their order, and count in each append anew.
	slices.SortStableFunc(t.events, func(a, b sourceEvent) int {
		return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.index, b.index))
	})
	var list []*target
	in := func(shard int) *target {
		for _, at := range list {
			if at.shard == shard {
				return at
			}
		}
		at := &target{shard: shard, commit: &commit{id: t.id, time: t.time, meta: t.meta(shard, same)}}
		list = append(list, at)
		return at
	}
	versions := make(map[string]uint64, 1)
	for i, e := range t.events {
		if i > 0 && t.events[i-1].index == e.index && t.events[i-1].part == e.part {
			return nil, &lineError{e.line, fmt.Errorf("%s version %d: id %s appears twice", e.stream, e.version, t.eventID(&e.event))}
		}
		if before, ok := versions[e.stream]; ok && e.version != before+1 {
			return nil, &lineError{e.line, fmt.Errorf("%s goes from version %d to %d", e.stream, before, e.version)}
		}
		versions[e.stream] = e.version
		at := in(shardOf(e.stream, shards))
		if e.part > 0 {
			e.part = at.commit.addPart(t.parts[e.part-1], same)
		}
		at.commit.events = append(at.commit.events, e.event)
		at.lines = append(at.lines, e.line)
	}
	for _, o := range t.onces {
		at := in(shardOf(o.stream, shards))
		at.commit.onces = append(at.commit.onces, o)
	}
	for _, name := range t.tables {
		at := in(tableShard(name, shards))
		at.commit.tables = append(at.commit.tables, name)
	}
	if same {
		for _, p := range t.places {
			in(p.shard)
		}
	}
	slices.SortFunc(list, func(a, b *target) int { return a.shard - b.shard })
	commits := make([]*commit, len(list))
	for i, at := range list {
		commits[i] = at.commit
	}
	tabulate(t.metas, commits)
	return list, nil
}

// differs says what a commit of the log has instead of the target, nil when it
// is the same.
func (t *target) differs(have *placed) error {
	have = &placed{have.tidy(), have.shard, have.rev}
	if bytes.Equal(t.commit.encode(t.shard, have.rev), have.encode(t.shard, have.rev)) {
		return nil
	}
	for i := range t.commit.events {
		e := &t.commit.events[i]
		if i >= len(have.events) || !reflect.DeepEqual(*e, have.events[i]) || t.commit.id != have.id {
			return &lineError{t.lines[i], fmt.Errorf("%s version %d: %w: the log has something else in shard %d at revision %d",
				e.stream, e.version, ErrConflict, t.shard, have.rev)}
		}
	}
	return fmt.Errorf("%w: the log has something else in shard %d at revision %d: transaction %s at %s", ErrConflict,
		t.shard, have.rev, have.id, formatTime(have.time))
}

func formatTime(n int64) string { return time.Unix(0, n).UTC().Format(time.RFC3339Nano) }
