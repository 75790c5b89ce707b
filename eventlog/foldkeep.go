package eventlog

import (
	"context"
	"time"

	"github.com/rollforward/rollforward/internal/jitter"
)

// A looseKeeper sees to it that relaxed appends are not forgotten where nobody runs
// a sequencer: it looks at the shards that this log appended to, and at those where
// it found some when it was opened, and folds what stands first at two looks. It
// ends by itself when nothing is loose any more. It is guarded by Log.mu.
type looseKeeper struct {
	shards  map[int]*keptShard
	running bool
	ended   chan struct{} // closed when the log is
}

// A keptShard is what the keeper knows of a shard.
type keptShard struct {
	own   bool   // this log put something that it has not seen folded
	fresh bool   // something was put since the last look
	first string // the first cell at the last look
	told  bool   // that it cannot be folded
}

// findLoose looks for what others left behind.
func (l *Log) findLoose(ctx context.Context) error {
	if l.opts.FoldAfter < 0 {
		return nil
	}
	shards, err := l.LooseShards(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range shards {
		l.keepLoose(s, false)
	}
	return nil
}

// keepLoose makes the keeper look at a shard. The caller holds l.mu.
func (l *Log) keepLoose(shard int, own bool) {
	k := &l.keeping
	if l.opts.FoldAfter < 0 || l.closed {
		return
	}
	if k.shards == nil {
		k.shards, k.ended = make(map[int]*keptShard), make(chan struct{})
	}
	s := k.shards[shard]
	if s == nil {
		s = new(keptShard)
		k.shards[shard] = s
	}
	s.own, s.fresh = s.own || own, true
	if !k.running {
		k.running = true
		l.work.Add(1)
		go l.runKeeper()
	}
}

// stop ends the keeper. The caller holds Log.mu.
func (k *looseKeeper) stop() {
	if k.ended != nil {
		close(k.ended)
		k.ended = nil
	}
}

// runKeeper looks again and again until nothing is loose or the log is closed.
// Processes that began at the same time do not look at the same time.
func (l *Log) runKeeper() {
	defer l.work.Done()
	l.mu.Lock()
	ended := l.keeping.ended
	l.mu.Unlock()
	if ended == nil { // closed meanwhile
		return
	}
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	for {
		timer := time.NewTimer(l.opts.FoldAfter + jitter.N(l.opts.FoldAfter/4+1))
		select {
		case <-ended:
			timer.Stop()
			return
		case <-timer.C:
		}
		if !l.lookAfter(ctx) {
			return
		}
	}
}

// lookAfter looks at all shards of the keeper once, and reports whether there is
// anything left to look at.
func (l *Log) lookAfter(ctx context.Context) bool {
	l.mu.Lock()
	shards := make([]int, 0, len(l.keeping.shards))
	for s, k := range l.keeping.shards {
		k.fresh = false
		shards = append(shards, s)
	}
	l.mu.Unlock()
	for _, s := range shards {
		l.lookAfterShard(ctx, s)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.keeping.shards) == 0 || l.closed {
		l.keeping.running = false
		return false
	}
	return true
}

func (l *Log) lookAfterShard(ctx context.Context, shard int) {
	first, err := l.firstLoose(ctx, shard)
	if err != nil {
		return // the next look may succeed
	}
	l.mu.Lock()
	k := l.keeping.shards[shard]
	stuck := first != "" && first == k.first
	if k.first = first; first == "" && !k.fresh {
		delete(l.keeping.shards, shard)
	}
	told := k.told
	l.mu.Unlock()
	if !stuck {
		return
	}
	err = l.foldUpTo(ctx, shard)
	l.mu.Lock()
	k.told = err != nil
	l.mu.Unlock()
	if err != nil && !told && ctx.Err() == nil {
		l.opts.Logger.Error("relaxed appends cannot be folded", "shard", shard, "err", err)
	}
}

// foldOwn folds what this log put and nobody folded yet, so that a program which
// ends leaves nothing to be folded where nobody does. It must not keep the program
// for long.
func (l *Log) foldOwn() {
	l.mu.Lock()
	var own []int
	for s, k := range l.keeping.shards {
		if k.own && !l.closed {
			own = append(own, s)
		}
	}
	l.mu.Unlock()
	if len(own) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, foldPatience)
	defer cancel()
	for _, s := range own {
		if err := l.foldUpTo(ctx, s); err != nil {
			l.opts.Logger.Warn("relaxed appends are left to be folded by others", "shard", s, "err", err)
			return
		}
	}
}

const foldPatience = 3 * time.Second
