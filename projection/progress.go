package projection

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// progress is what a running projection tells those who wait for it or look at
// it in this process.
type progress struct {
	mu       sync.Mutex
	at       eventlog.Position
	asked    []bool            // by shard: the sink has said where it is
	err      error             // why it stopped
	troubles map[int]error     // by shard, or allShards: what is being retried
	busy     map[int]time.Time // by shard: since when it has got no further
	skipped  map[string]uint64 // events without a handler, by type, since the start
	moved    chan struct{}     // closed at each change of at or err
	kicked   chan struct{}     // closed when the sink must be asked again
	ended    chan struct{}     // closed when the projection no longer runs
}

const allShards = -1

func newProgress(shards int) *progress {
	return &progress{asked: make([]bool, shards), troubles: make(map[int]error), busy: make(map[int]time.Time), skipped: make(map[string]uint64),
		moved: make(chan struct{}), kicked: make(chan struct{}), ended: make(chan struct{})}
}

// set notes how far a shard has come. Who has not noticed a restart is not
// heard.
func (p *progress) set(kicked <-chan struct{}, shard int, rev driver.Revision) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kicked == p.kicked && (!p.asked[shard] || p.at.Revision(shard) != rev) {
		p.asked[shard], p.at = true, p.at.With(shard, rev)
		p.wake()
	}
}

// skip counts events without a handler; first names the types that are new.
func (p *progress) skip(types map[string]uint64) (first []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for typ, n := range types {
		if p.skipped[typ] == 0 {
			first = append(first, typ)
		}
		p.skipped[typ] += n
	}
	return first
}

func (p *progress) trouble(shard int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.troubles[shard] = err
}

func (p *progress) well(shard int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.troubles, shard)
}

// works notes that a shard has begun something, or got further.
func (p *progress) works(shard int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy[shard] = time.Now()
}

// waits notes that a shard has nothing to do.
func (p *progress) waits(shard int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, shard)
}

// stall is how long a shard may get no further before that is trouble: no
// transaction and no read takes nearly that long.
const stall = time.Minute

// stop notes that the projection has stopped.
func (p *progress) stop(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	p.wake()
}

func (p *progress) wake() {
	close(p.moved)
	p.moved = make(chan struct{})
}

// covers reports whether everything up to q took effect; moved tells when to ask
// again. err is why it never will.
func (p *progress) covers(q eventlog.Position) (yes bool, moved <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at.Covers(q) && !slices.Contains(p.asked, false), p.moved, p.err
}

// wait returns when everything up to q took effect. It returns false when the
// projection no longer runs, and an error when it has stopped or ctx ends.
func (p *progress) wait(ctx context.Context, q eventlog.Position) (covered bool, err error) {
	for {
		covered, moved, err := p.covers(q)
		if covered {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		select {
		case <-moved:
		case <-p.ended:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// begun reports whether every shard has found its place.
func (p *progress) begun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.Contains(p.asked, false)
}

// restart notes that the sink was reset: nothing is covered, and every shard
// asks the sink where it is.
func (p *progress) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.asked)
	p.at = eventlog.Position{}
	close(p.kicked)
	p.kicked = make(chan struct{})
}

func (p *progress) kicks() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kicked
}

// report returns what Status shows.
func (p *progress) report() (troubles map[int]error, skipped map[string]uint64, stopped error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	troubles = maps.Clone(p.troubles)
	for shard, since := range p.busy {
		if d := time.Since(since); d > stall && troubles[shard] == nil {
			troubles[shard] = fmt.Errorf("no progress for %v: what is in hand does not end", d.Round(time.Second))
		}
	}
	return troubles, maps.Clone(p.skipped), p.err
}
