package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// inboxTroubles are what keeps an inbox from going on.
type inboxTroubles struct {
	mu      sync.Mutex
	silent  error // why there is no subscription
	since   time.Time
	failing map[inboxKey]*inboxFailure // messages that were nacked
}

type inboxFailure struct {
	attempt     int
	since, last time.Time
	err         error
}

const inboxMaxFailing = 4096

// failed counts an attempt.
func (t *inboxTroubles) failed(key inboxKey, err error) (attempt int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.failing[key]
	if f == nil {
		if len(t.failing) >= inboxMaxFailing {
			clear(t.failing) // their pauses begin anew
		}
		f = &inboxFailure{since: time.Now()}
		t.failing[key] = f
	}
	f.attempt++
	f.last, f.err = time.Now(), err
	return f.attempt
}

func (t *inboxTroubles) succeeded(key inboxKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failing, key)
}

// deaf and hears say whether there is a subscription.
func (t *inboxTroubles) deaf(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.silent == nil {
		t.since = time.Now()
	}
	t.silent = err
}

func (t *inboxTroubles) hears() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silent = nil
}

// inboxMemory is for how long a message counts that failed and has not come
// again: somebody else may have got it.
const inboxMemory = 10 * time.Minute

func (t *inboxTroubles) health() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	if t.silent != nil {
		errs = append(errs, fmt.Errorf("no messages since %s: %w", t.since.UTC().Format(time.RFC3339), t.silent))
	}
	var oldest *inboxFailure
	n := 0
	for key, f := range t.failing {
		if time.Since(f.last) > inboxMemory {
			delete(t.failing, key)
			continue
		}
		n++
		if oldest == nil || f.since.Before(oldest.since) {
			oldest = f
		}
	}
	if n > 0 {
		errs = append(errs, fmt.Errorf("%d messages fail, the first since %s: %w", n, oldest.since.UTC().Format(time.RFC3339), oldest.err))
	}
	return errors.Join(errs...)
}

// Health returns nil when the Inbox runs, by itself or in a router, and nothing
// keeps it from going on, or else what does: no subscription, or messages that
// fail.
func (i *Inbox) Health(context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.live) == 0 {
		return fmt.Errorf("outbox: inbox %s %w", i.Name, ErrNotRunning)
	}
	for h := range i.live {
		if err := h.health(); err != nil {
			return fmt.Errorf("outbox: inbox %s: %w", i.Name, err)
		}
	}
	return nil
}
