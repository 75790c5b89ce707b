package saga

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/lease"
	"github.com/rollforward/rollforward/outbox"
)

// A CensusShard says how many instances of a shard are in each state.
type CensusShard struct {
	Shard int
	// Revision is that of the last commit that is counted.
	Revision driver.Revision
	// Lag is the age of the first commit behind it; 0: there is none.
	Lag time.Duration
	// Instances are by saga and state: of each saga that the shard has or had an
	// instance of, all states.
	Instances map[string]map[State]int
}

// Counts returns how many instances are in each state, by shard: of those that this
// process holds, and has counted up to the end that it found. It asks the store how far
// the shards are. An error says that it does not run ([outbox.ErrNotRunning]), or that the store
// does not answer.
func (c *Census) Counts(ctx context.Context) ([]CensusShard, error) {
	e := c.run.Under()
	if e == nil {
		return nil, fmt.Errorf("saga: the census %w", outbox.ErrNotRunning)
	}
	list := e.list(e.keeper)
	for i := range list {
		if err := e.lag(ctx, &list[i]); err != nil {
			return nil, fmt.Errorf("saga: census: shard %d: %w", list[i].Shard, err)
		}
	}
	return list, nil
}

// lag looks for the first commit that is not counted.
func (e *census) lag(ctx context.Context, s *CensusShard) error {
	tail, err := e.log.Tail(ctx, s.Shard)
	if err != nil || tail <= s.Revision {
		return err
	}
	q := eventlog.Query{Shards: []int{s.Shard}, From: uint64(s.Revision) + 1, System: true, Limit: 1}
	for r, err := range e.log.Read(ctx, q) {
		if err != nil {
			return err
		}
		s.Lag = max(0, e.log.Now().Sub(r.Time))
	}
	return nil
}

// counted is what the shards that are held came to. The zero value has none.
type counted struct {
	mu     sync.Mutex
	shards map[int]publication
}

type publication struct {
	lease lease.Lease
	at    driver.Revision
	sagas population
}

func (c *counted) publish(l lease.Lease, at driver.Revision, sagas population) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shards == nil {
		c.shards = make(map[int]publication)
	}
	c.shards[l.Index] = publication{l, at, sagas}
}

// forget says that nobody knows any more, or that another process does.
func (c *counted) forget(shard int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.shards, shard)
}

// list returns the shards that k holds still: what it lost another may report.
func (c *counted) list(k *lease.Keeper) (list []CensusShard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for shard, p := range c.shards {
		if k.Holds(p.lease) {
			list = append(list, CensusShard{Shard: shard, Revision: p.at, Instances: p.sagas.all()})
		}
	}
	slices.SortFunc(list, func(a, b CensusShard) int { return cmp.Compare(a.Shard, b.Shard) })
	return list
}
