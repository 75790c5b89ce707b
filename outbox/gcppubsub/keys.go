package gcppubsub

import (
	"context"
	"sync"
)

// keys are the ordering keys that calls are at work on. After a failure the
// library takes nothing more for the key until it is resumed. That must not be
// while a call still has messages behind the one that failed, which would pass it:
// so it waits for all calls that were under way then, and new ones wait for it.
type keys struct {
	resume func(key string)

	mu   sync.Mutex
	busy map[string]*keyUse
}

// A keyUse is a key that calls are at work on.
type keyUse struct {
	calls   int
	resumed chan struct{} // not nil after a failure; closed when it goes on
}

// enter begins a call with messages of these keys, each named once. It waits for
// those that have failed, for all of them at the same time: a call that had
// entered some and waited for another could wait for one that waits for it.
func (k *keys) enter(ctx context.Context, names []string) error {
	for {
		failed := k.tryEnter(names)
		if failed == nil {
			return nil
		}
		select {
		case <-failed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryEnter enters all or none; then it returns what to wait for.
func (k *keys) tryEnter(names []string) (failed <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		if use := k.busy[name]; use != nil && use.resumed != nil {
			return use.resumed
		}
	}
	if k.busy == nil {
		k.busy = make(map[string]*keyUse)
	}
	for _, name := range names {
		if k.busy[name] == nil {
			k.busy[name] = new(keyUse)
		}
		k.busy[name].calls++
	}
	return nil
}

// leave ends a call, of whose messages Pub/Sub has answered all. failed are the
// keys that had a failure.
func (k *keys) leave(names []string, failed map[string]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range names {
		use := k.busy[name]
		if failed[name] && use.resumed == nil {
			use.resumed = make(chan struct{})
		}
		if use.calls--; use.calls > 0 {
			continue
		}
		delete(k.busy, name)
		if use.resumed != nil {
			k.resume(name)
			close(use.resumed)
		}
	}
}
