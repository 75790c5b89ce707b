package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Keeper is a runner's part in the leases of a Prefix. Its user calls Tick
// again and again, works on what Held says, and gives back what Surplus says.
// It has no goroutine of its own. Log, Prefix and Count are required and the same
// for all runners of a Prefix, as is Duration. A Keeper must not be copied once
// used; its methods may be called by any number of goroutines.
type Keeper struct {
	Log    *eventlog.Log
	Prefix string // of the cells; no control characters
	Count  int    // of things: 1 to 10000
	// Duration is the lease time (10 s): as long as each runner Ticks at least six
	// times in it, what a crashed one held is taken over within it.
	Duration time.Duration
	// Name is shown to operators; it need not be unique.
	Name string
	// Fence returns what changes, in the write that takes a lease, so that writes of
	// its holder before are refused from then on: such as the put of a cursor, as it
	// is, on the condition of the version just read. nil is nothing. It may be called
	// by several goroutines, and again when its conditions did not hold.
	Fence func(ctx context.Context, index int, epoch uint64) ([]driver.CellOp, error)

	once sync.Once
	turn chan struct{} // has room for whoever talks to the store

	mu      sync.Mutex // guards what follows; only who has the turn changes it
	id      string     // "": not registered
	version uint64     // of the own heartbeat
	beat    time.Time  // when the last heartbeat began that was written
	held    map[int]record
	surplus []int
	runners int
	failing failing

	peers  map[string]*peer // others, by id; these two belong to who has the turn
	looked time.Time
}

// A Lease is one that is held. Index and Epoch together never come again.
type Lease struct {
	Index int
	Epoch uint64
}

type failing struct {
	since time.Time
	err   error
}

const (
	defaultDuration = 10 * time.Second
	minDuration     = 60 * time.Millisecond
	maxDuration     = 24 * time.Hour
	maxCount        = 10_000
)

// Check reports what is wrong with the fields. Tick does so too.
func (k *Keeper) Check() error {
	switch {
	case k.Log == nil:
		return errors.New("lease: a Keeper needs a Log")
	case k.Prefix == "" || strings.ContainsFunc(k.Prefix, func(r rune) bool { return r < ' ' }):
		return fmt.Errorf("lease: prefix %q", k.Prefix)
	case k.Count < 1 || k.Count > maxCount:
		return fmt.Errorf("lease: %d things: 1 to %d", k.Count, maxCount)
	case k.Duration != 0 && (k.Duration < minDuration || k.Duration > maxDuration):
		return fmt.Errorf("lease: a duration of %v: %v to %v", k.Duration, minDuration, maxDuration)
	}
	return nil
}

func (k *Keeper) duration() time.Duration {
	if k.Duration == 0 {
		return defaultDuration
	}
	return k.Duration
}

// expiry is for how long a heartbeat must not change for its runner to be dead,
// and for how long a runner may not have written its own to be alive for itself.
// An observer sees a beat up to a tick late, and notices up to a tick late, so
// both and the expiry fit into the duration.
func (k *Keeper) expiry() time.Duration { return k.duration() * 5 / 8 }

// Held returns what this runner holds, by index: nothing when it could not say
// for too long that it lives, because others may have taken its place.
func (k *Keeper) Held() []Lease {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.fresh() {
		return nil
	}
	list := make([]Lease, 0, len(k.held))
	for _, r := range k.held {
		list = append(list, Lease{r.index, r.Epoch})
	}
	slices.SortFunc(list, func(a, b Lease) int { return a.Index - b.Index })
	return list
}

// Holds reports whether Held has this lease.
func (k *Keeper) Holds(l Lease) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.held[l.Index]
	return ok && r.Epoch == l.Epoch && k.fresh()
}

// Surplus returns what this runner holds beyond its share. Finish what is in
// hand of it, then GiveBack.
func (k *Keeper) Surplus() []int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.fresh() {
		return nil
	}
	return slices.Clone(k.surplus)
}

// Runners returns how many runners were alive at the last Tick that succeeded,
// this one included.
func (k *Keeper) Runners() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.runners
}

// Failing returns the error of the last Tick and since when each Tick fails; nil
// when it succeeded.
func (k *Keeper) Failing() (since time.Time, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failing.since, k.failing.err
}

// fresh reports whether nobody can have found this runner dead. The caller holds
// k.mu.
func (k *Keeper) fresh() bool { return k.id != "" && time.Since(k.beat) < k.expiry() }

// enter waits until nobody else of this Keeper talks to the store.
func (k *Keeper) enter(ctx context.Context) (leave func(), err error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	k.once.Do(func() { k.turn = make(chan struct{}, 1) })
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("lease: %s: %w", k.Prefix, err)
	}
	select {
	case k.turn <- struct{}{}:
		return func() { <-k.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("lease: %s: %w", k.Prefix, ctx.Err())
	}
}

// forget is what a runner does that was found dead, or closes.
func (k *Keeper) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.id, k.version, k.beat, k.held, k.surplus = "", 0, time.Time{}, nil, nil
}

// note remembers how a Tick ended.
func (k *Keeper) note(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil:
		k.failing = failing{}
	case k.failing.err == nil:
		k.failing = failing{time.Now(), err}
	default:
		k.failing.err = err
	}
}

func host() string {
	name, err := os.Hostname()
	if err != nil {
		name = "?"
	}
	return fmt.Sprintf("%s:%d", name, os.Getpid())
}
