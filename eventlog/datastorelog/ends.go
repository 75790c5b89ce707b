package datastorelog

import (
	"context"
	"runtime"
	"sync"

	"cloud.google.com/go/datastore"
)

// ends looks for blocks behind the ends of shards. Who asks while a look is under way
// shares the next one with all others: a look at many shards is a call or two.
type ends struct {
	mu      sync.Mutex
	looking bool
	waiting []*look
}

// A look is for one block.
type look struct {
	shard  int
	number uint64
	found  *block // nil: it is not there
	err    error
	done   chan struct{}
}

// maxLooks is how many blocks a look is for at most: they may all be there, and large.
const maxLooks = 100

// next returns the block of a shard with a number, nil where there is none yet, and
// notes it as the last.
func (l *Log) next(ctx context.Context, shard int, number uint64) (*block, error) {
	k := &look{shard: shard, number: number, done: make(chan struct{})}
	l.ends.mu.Lock()
	l.ends.waiting = append(l.ends.waiting, k)
	first := !l.ends.looking
	l.ends.looking = true
	l.ends.mu.Unlock()
	if first {
		l.work.do(l.look)
	}
	select {
	case <-k.done:
		return k.found, k.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// look answers who waits until nobody does. It is nobody's own: who gives up
// does not take the answer from the others.
func (l *Log) look() {
	for {
		// Let those ask who are about to: they share the call.
		runtime.Gosched()
		runtime.Gosched()
		l.ends.mu.Lock()
		n := min(len(l.ends.waiting), maxLooks)
		list := l.ends.waiting[:n:n]
		l.ends.waiting = l.ends.waiting[n:]
		l.ends.looking = n > 0
		l.ends.mu.Unlock()
		if n == 0 {
			return
		}
		keys := make([]*datastore.Key, n)
		for i, k := range list {
			keys[i] = l.blockKey(k.shard, k.number)
		}
		found, err := l.get(l.alive, keys)
		for i, k := range list {
			if k.err = err; err == nil && found[i].there() {
				k.found, k.err = found[i].block(k.shard, k.number)
			}
			if k.found != nil {
				l.heads.learn(k.shard, place{k.found.last, k.found.number})
			}
			close(k.done)
		}
	}
}
