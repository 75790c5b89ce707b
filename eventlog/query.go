package eventlog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Query selects records. Zero fields select everything; all that are set must
// hold. What one shard or stream yields comes in its order; several shards are
// merged by (time, shard, revision).
type Query struct {
	Stream      string   // one stream
	Category    string   // streams whose name starts with Category/
	Tag         string   // events with this tag
	Types       []string // events of these types, after upcasting
	Correlation ID       // events of this chain; the first of one only with Index.Correlations
	Shards      []int    // only these; nil: all
	// From and To bound versions of a Stream, else revisions of the one shard
	// that Shards names. Both are inclusive; 0: no bound.
	From, To     uint64
	After        Position  // commits behind this position
	Since, Until time.Time // Since ≤ time < Until
	Born         time.Time // the caller knows that the tag is not older; spares an Update the index
	Own          bool      // what this Log wrote is enough: it need not ask the store for more where it remembers that
	Backward     bool      // from To (or the end) down to From
	Follow       bool      // wait for more at the end, until ctx is done
	Limit        int       // records at most; 0: no limit
	System       bool      // also system streams ($…), which are else shown only when named
	Stored       bool      // as stored, without upcasting
	Timeline     bool      // one shard or stream by when its events were appended; see [Log.Read]
}

// plan is a Query made ready for a log.
type plan struct {
	Query
	shards []int
	key    string // "": scan
	log    *Log
}

func (l *Log) plan(q Query) (*plan, error) {
	p := &plan{Query: q, log: l, shards: q.Shards}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("eventlog: query: %w", err)
	}
	if p.Stream != "" {
		p.key, p.shards = p.Stream, []int{l.ShardOf(p.Stream)}
		return p, nil
	}
	if p.shards == nil {
		p.shards = make([]int, l.Shards())
		for s := range p.shards {
			p.shards[s] = s
		}
	}
	switch {
	case p.Tag != "":
		p.key = tagKey(p.Tag)
	case !p.Correlation.IsZero():
		p.key = correlationKey(p.Correlation)
	case len(p.Types) > 0 && l.opts.Index.Types:
		if stored := p.storedTypes(); len(stored) == 1 {
			p.key = typeKey(stored[0])
		}
	}
	return p, nil
}

func (p *plan) storedTypes() []string {
	if p.Stored {
		return p.Types
	}
	return p.log.casts.stored(p.Types)
}

func (p *plan) check() error {
	for i, s := range p.Shards {
		if s < 0 || s >= p.log.Shards() {
			return fmt.Errorf("shard %d: the log has 0 to %d", s, p.log.Shards()-1)
		}
		if slices.Contains(p.Shards[:i], s) {
			return fmt.Errorf("shard %d is named twice", s)
		}
	}
	switch {
	case p.Stream != "" && p.Shards != nil && !slices.Contains(p.Shards, p.log.ShardOf(p.Stream)):
		return fmt.Errorf("stream %s lies in shard %d, not in %v", p.Stream, p.log.ShardOf(p.Stream), p.Shards)
	case (p.From != 0 || p.To != 0) && p.Stream == "" && len(p.Shards) != 1:
		return fmt.Errorf("the bounds From and To need a Stream or one shard")
	case p.Backward && p.Follow:
		return fmt.Errorf("reading Backward and to Follow exclude each other")
	case p.Timeline && p.Stream == "" && len(p.Shards) != 1:
		return fmt.Errorf("a Timeline is that of one shard, or of a stream")
	case p.Timeline && (p.From != 0 || p.To != 0 || p.Backward || p.Follow || !p.After.IsZero()):
		return fmt.Errorf("a Timeline has no From, To, After, Backward or Follow")
	case p.Limit < 0:
		return fmt.Errorf("limit of %d records", p.Limit)
	}
	return nil
}

// span returns the positions to look at in a shard: versions of a stream, else
// revisions.
func (p *plan) span(shard int) driver.Range {
	r := driver.Range{From: p.From, Backward: p.Backward}
	if p.Stream == "" {
		if p.To > 0 {
			r.To = p.To + 1
		}
		r.From = max(r.From, uint64(p.After.Revision(shard))+1)
	}
	return r
}

// over reports whether nothing behind c can match any more.
func (p *plan) over(c *placed) bool {
	if p.Backward {
		if p.Stream != "" && p.From > 0 && c.pos(p.Stream) < p.From {
			return true
		}
		return !p.Since.IsZero() && c.time < p.Since.UnixNano()
	}
	if p.Stream != "" && p.To > 0 {
		if i := slices.IndexFunc(c.events, func(e event) bool { return e.stream == p.Stream }); i >= 0 && c.events[i].version > p.To {
			return true
		}
	}
	return !p.Until.IsZero() && c.time >= p.Until.UnixNano()
}

// records returns what of c matches, in reading order. The commit itself is not
// changed.
func (p *plan) records(to []Record, c *placed) ([]Record, error) {
	if p.misses(c) {
		return to, nil
	}
	return p.pick(to, c)
}

// pick returns what of c matches but for place and time.
func (p *plan) pick(to []Record, c *placed) ([]Record, error) {
	first := len(to)
	for i := range c.events {
		e := &c.events[i]
		if !p.selects(c.commit, e) {
			continue
		}
		r := c.record(p.log, c.shard, c.rev, e)
		if !p.Stored && p.log.casts != nil {
			if err := p.log.casts.apply(&r); err != nil {
				return to[:first], fmt.Errorf("eventlog: %w", err)
			}
		}
		if len(p.Types) == 0 || slices.Contains(p.Types, r.Type) {
			to = append(to, r)
		}
	}
	if p.Backward {
		slices.Reverse(to[first:])
	}
	for i := first; i < len(to)-1; i++ {
		to[i].more = true
	}
	return to, nil
}

// misses decides for a whole commit.
func (p *plan) misses(c *placed) bool {
	return c.rev <= p.After.Revision(c.shard) ||
		!p.Since.IsZero() && c.time < p.Since.UnixNano() ||
		!p.Until.IsZero() && c.time >= p.Until.UnixNano()
}

// selects decides for an event, but for its type, which upcasts may change.
func (p *plan) selects(c *commit, e *event) bool {
	if p.Stream != "" {
		if e.stream != p.Stream || e.version < p.From || p.To > 0 && e.version > p.To {
			return false
		}
	} else if !p.System && strings.HasPrefix(e.stream, "$") && !strings.HasPrefix(p.Category, "$") && !strings.HasPrefix(p.Tag, "$") {
		return false
	}
	return (p.Category == "" || category(e.stream) == p.Category) &&
		(p.Tag == "" || slices.Contains(e.tags, p.Tag)) &&
		(p.Correlation.IsZero() || p.chains(c, e))
}

// chains decides by the same rule as the index, so that the other fields of a
// Query do not change what belongs to a chain.
func (p *plan) chains(c *commit, e *event) bool {
	return c.chain(c.metaAt(int(e.meta)), e.part, p.log.opts.Index) == p.Correlation
}
