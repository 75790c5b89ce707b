package datastorelog

import (
	"context"
	"slices"
	"sync"
)

// turns lets the Writes of one process that state a condition on the same cell go
// one after the other. A store with read locks would let them block each other
// until their locks time out, over and over.
type turns struct {
	mu   sync.Mutex
	keys map[string]*turn
}

type turn struct {
	free  chan struct{} // holds a token when nobody has the turn
	users int
}

// take waits for the turns of all keys.
func (t *turns) take(ctx context.Context, keys []string) (release func(), err error) {
	slices.Sort(keys) // all in the same order: nobody waits in a circle
	taken := 0
	release = func() {
		for _, k := range keys[:taken] {
			t.give(k)
		}
	}
	for _, k := range keys {
		if err := t.wait(ctx, k); err != nil {
			release()
			return nil, err
		}
		taken++
	}
	return release, nil
}

func (t *turns) wait(ctx context.Context, key string) error {
	t.mu.Lock()
	u := t.keys[key]
	if u == nil {
		if t.keys == nil {
			t.keys = make(map[string]*turn)
		}
		u = &turn{free: make(chan struct{}, 1)}
		u.free <- struct{}{}
		t.keys[key] = u
	}
	u.users++
	t.mu.Unlock()
	select {
	case <-u.free:
		return nil
	case <-ctx.Done():
		t.leave(key, u)
		return ctx.Err()
	}
}

func (t *turns) give(key string) {
	t.mu.Lock()
	u := t.keys[key]
	t.mu.Unlock()
	u.free <- struct{}{}
	t.leave(key, u)
}

func (t *turns) leave(key string, u *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u.users--; u.users == 0 {
		delete(t.keys, key)
	}
}
