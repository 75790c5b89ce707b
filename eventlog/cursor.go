package eventlog

import (
	"context"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// placed is a commit at its place.
type placed struct {
	*commit
	shard int
	rev   driver.Revision
}

// pos is the position at which the commit carries a key: the last version of a
// stream, else the revision.
func (c *placed) pos(key string) uint64 {
	if key != "" && isStream(key) {
		for i := len(c.events) - 1; i >= 0; i-- {
			if c.events[i].stream == key {
				return c.events[i].version
			}
		}
		return 0
	}
	return uint64(c.rev)
}

// A cursor reads the commits of one shard that carry a key, page by page, so
// that memory is bounded and nothing stays open between two steps. Inside an
// Update it sees pending commits too.
type cursor struct {
	log   *Log
	shard int
	key   string
	left  driver.Range // what was not fetched yet
	sight *sight       // nil: everything durable
	own   bool         // what this process wrote is enough

	page  []placed
	at    int
	limit int  // of the next page
	done  bool // the durable commits are all fetched
	early bool // the pending ones too

	asOf    driver.Revision // a follower's: up to there it has everything
	rumours uint64          // answered by it
}

const (
	firstPage = 16
	pageLimit = 512
	pageBytes = 1 << 20
)

func (p *plan) cursor(shard int, s *sight) *cursor {
	c := &cursor{log: p.log, shard: shard, key: p.key, left: p.span(shard), sight: s, own: p.Own, limit: firstPage}
	if p.Limit == 0 && (p.key == "" || !p.log.driver.Exclusive()) { // a shared store is far away: one question, not several
		c.limit = pageLimit
	}
	return c
}

// peek returns the next commit, nil at the end. At the end of the durable
// commits of a log it may be called again later.
func (c *cursor) peek(ctx context.Context) (*placed, error) {
	if c.at == len(c.page) {
		if err := c.fetch(ctx); err != nil {
			return nil, err
		}
		if c.at == len(c.page) {
			return nil, nil
		}
	}
	return &c.page[c.at], nil
}

func (c *cursor) next() { c.at++ }

// again lets peek look for commits that were not there before.
func (c *cursor) again() { c.done = false }

func (c *cursor) fetch(ctx context.Context) error {
	c.page, c.at = c.page[:0], 0
	if c.left.Backward && !c.early {
		c.fetchEarly()
	}
	for len(c.page) == 0 && !c.done {
		if err := c.fetchPage(ctx); err != nil {
			return err
		}
	}
	if len(c.page) == 0 && !c.left.Backward && !c.early {
		c.fetchEarly()
	}
	return nil
}

// fetchEarly takes the pending commits that were seen.
func (c *cursor) fetchEarly() {
	c.early = true
	if c.sight == nil {
		return
	}
	for _, p := range c.sight.early {
		at := placed{p.commit, c.shard, p.rev}
		if c.left.Contains(at.pos(c.key)) {
			c.page = append(c.page, at)
		}
	}
	if c.left.Backward {
		slices.Reverse(c.page)
	}
}

// fetchPage reads the next durable commits.
func (c *cursor) fetchPage(ctx context.Context) error {
	r := c.left
	r.Limit = c.limit
	if c.sight != nil && (c.key == "" || !isStream(c.key)) {
		if end := uint64(c.sight.tail) + 1; r.To == 0 || r.To > end {
			r.To = end
		}
		if r.From >= r.To {
			c.done = true
			return nil
		}
	}
	if c.fetchRecent(r) {
		c.limit = min(4*c.limit, pageLimit)
		c.forward()
		return nil
	}
	asOf, _ := c.log.known(c.shard)
	n, bytes := 0, 0
	for raw, err := range c.commits(ctx, r) {
		if err != nil {
			return err
		}
		n++
		newer := c.sight != nil && raw.Revision > c.sight.tail
		if newer && !c.left.Backward {
			c.done = true
			return nil
		}
		decoded, err := c.log.decode(c.shard, raw, c.stream())
		if err != nil {
			return err
		}
		at := placed{decoded, c.shard, raw.Revision}
		if newer {
			c.left.To = at.pos(c.key)
			continue
		}
		c.page = append(c.page, at)
		if bytes += len(raw.Data); bytes > pageBytes {
			n = r.Limit
			break
		}
	}
	if c.done = n < r.Limit; c.done {
		c.learnEnd(asOf)
	}
	c.limit = min(4*c.limit, pageLimit)
	c.forward()
	return nil
}

func (c *cursor) commits(ctx context.Context, r driver.Range) func(func(driver.Commit, error) bool) {
	if c.key == "" {
		return c.log.driver.Read(ctx, c.shard, r)
	}
	return c.log.driver.Find(ctx, c.shard, c.key, r)
}

// stream is the only one whose events are wanted, "" for all.
func (c *cursor) stream() string {
	if c.key != "" && isStream(c.key) {
		return c.key
	}
	return ""
}

// forward moves the rest of the range behind the page.
func (c *cursor) forward() {
	if len(c.page) == 0 {
		return
	}
	last := c.page[len(c.page)-1].pos(c.key)
	if !c.left.Backward {
		c.left.From = last + 1
		return
	}
	if c.left.To = last; last <= c.left.From {
		c.done = true
	}
}
