package eventlog

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Read yields the durable records that q selects. It reads in pages: memory is
// bounded, nothing stays open while the caller works, and a dropped iteration
// leaves nothing behind. An iteration that does not follow ends with the log as
// it is when it gets there.
//
// A following iteration over several shards yields in the order of time: a
// record comes as soon as no shard can get an earlier one. In a log that other
// processes write to that is Options.MaxSkew after its time.
//
// A Timeline is a snapshot of a shard in which every relaxed append stands where
// it was made, folded or not: by the revision that it had seen, then the time of
// the append, then its id; a strict one by the revision behind which it was
// written and its time. What was acknowledged before the reading is in it, once.
// An append that waits to be folded has no version and no revision yet. Since and
// Until bound the time of the append. It is to look at, not to go on from: what is
// folded later may stand anywhere in it.
func (l *Log) Read(ctx context.Context, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		p, err := l.plan(q)
		if err == nil {
			run := p.run
			if q.Timeline {
				run = p.timeline
			}
			err = run(ctx, yield)
		}
		if err != nil && err != errStop {
			yield(Record{}, err)
		}
	}
}

// errStop says that the consumer wants no more.
var errStop = fmt.Errorf("stop")

func (p *plan) run(ctx context.Context, yield func(Record, error) bool) error {
	out := &output{plan: p, yield: yield}
	var cursors []*cursor
	for _, s := range p.shards {
		c := p.cursor(s, nil)
		if err := p.seek(ctx, c); err != nil {
			return err
		}
		cursors = append(cursors, c)
	}
	if p.Follow {
		return p.follow(ctx, cursors, out)
	}
	return merge(ctx, cursors, out)
}

// seek moves a forward scan to the first commit with time ≥ Since, and a
// backward one below Until: times rise in a shard.
func (p *plan) seek(ctx context.Context, c *cursor) error {
	if p.Stream != "" && p.Backward && p.To > 0 {
		return p.seekVersion(ctx, c)
	}
	bound := p.Since
	if p.Backward {
		bound = p.Until
	}
	if p.key != "" || bound.IsZero() {
		return nil
	}
	tail, err := p.log.driver.Tail(ctx, c.shard)
	if err != nil {
		return err
	}
	lo, hi := driver.Revision(max(c.left.From, 1)), tail+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		at, err := p.log.commitAt(ctx, c.shard, mid)
		if err != nil {
			return err
		}
		if at.time < bound.UnixNano() {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if !p.Backward {
		c.left.From = uint64(lo)
	} else if lo <= tail && (c.left.To == 0 || uint64(lo) < c.left.To) {
		c.left.To = uint64(lo)
		c.done = c.left.To <= c.left.From
	}
	return nil
}

// seekVersion starts a backward reading at the commit that holds version To.
func (p *plan) seekVersion(ctx context.Context, c *cursor) error {
	at, err := p.log.find(ctx, c.shard, p.Stream, driver.Range{From: p.To, Limit: 1})
	if at != nil {
		c.left.To = at.pos(p.Stream) + 1
	}
	return err
}

// output yields the matching records of commits, within the limit.
type output struct {
	*plan
	yield func(Record, error) bool
	buf   []Record
	n     int
}

// commit yields what matches of c. errStop ends the reading.
func (o *output) commit(c *placed) error {
	if o.over(c) && (len(o.shards) == 1 || !o.Follow) {
		return errStop
	}
	var err error
	if o.buf, err = o.plan.records(o.buf[:0], c); err != nil {
		return err
	}
	return o.records(o.buf)
}

func (o *output) records(list []Record) error {
	for _, r := range list {
		if !o.yield(r, nil) {
			return errStop
		}
		if o.n++; o.n == o.Limit {
			return errStop
		}
	}
	return nil
}

// merge yields the commits of all cursors by (time, shard, revision).
func merge(ctx context.Context, cursors []*cursor, out *output) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, first, err := earliestCommit(ctx, cursors, out.Backward)
		if err != nil || c == nil {
			return err
		}
		if err := out.commit(first); err != nil {
			return err
		}
		c.next()
	}
}

// earliestCommit returns the cursor that is next in the order of time (the
// latest when backward), nil when all are at their end.
func earliestCommit(ctx context.Context, cursors []*cursor, backward bool) (*cursor, *placed, error) {
	var at *cursor
	var first *placed
	for _, c := range cursors {
		p, err := c.peek(ctx)
		if err != nil {
			return nil, nil, err
		}
		// cursors are in the order of shards: of equal times the lower shard is first
		if p != nil && (first == nil || !backward && p.time < first.time || backward && p.time >= first.time) {
			at, first = c, p
		}
	}
	return at, first, nil
}

// StreamInfo is a stream with the version of its last event.
type StreamInfo struct {
	Stream  string
	Version uint64
	Shard   int
}

// Streams yields the streams whose names start with prefix, in bytewise order.
// System streams are shown only when prefix starts with $.
func (l *Log) Streams(ctx context.Context, prefix string) iter.Seq2[StreamInfo, error] {
	return l.StreamsAfter(ctx, prefix, "")
}

// StreamsAfter is Streams from behind a name on: for who lists many in pieces.
func (l *Log) StreamsAfter(ctx context.Context, prefix, after string) iter.Seq2[StreamInfo, error] {
	after = max(after, lastSystem)
	return func(yield func(StreamInfo, error) bool) {
		type source struct {
			next func() (driver.Key, error, bool)
			head driver.Key
		}
		var sources []*source
		advance := func(s *source) (bool, error) {
			k, err, ok := s.next()
			s.head = k
			return ok, err
		}
		for shard := range l.Shards() {
			next, stop := iter.Pull2(l.driver.Keys(ctx, shard, prefix, after))
			defer stop()
			sources = append(sources, &source{next: next})
		}
		shard := func(s *source) int { return shardOf(s.head.Name, l.Shards()) }
		live := sources[:0]
		for _, s := range sources {
			ok, err := advance(s)
			if err != nil {
				yield(StreamInfo{}, err)
				return
			}
			if ok {
				live = append(live, s)
			}
		}
		for len(live) > 0 {
			first := slices.MinFunc(live, func(a, b *source) int { return strings.Compare(a.head.Name, b.head.Name) })
			if strings.HasPrefix(prefix, "$") || !strings.HasPrefix(first.head.Name, "$") {
				if !yield(StreamInfo{first.head.Name, first.head.Pos, shard(first)}, nil) {
					return
				}
			}
			ok, err := advance(first)
			if err != nil {
				yield(StreamInfo{}, err)
				return
			}
			if !ok {
				live = slices.DeleteFunc(live, func(s *source) bool { return s == first })
			}
		}
	}
}
