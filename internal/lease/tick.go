package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Tick says that this runner lives, looks who else does, takes free leases up to
// its share, and finds out what is surplus. Call it at least six times in each
// Duration; more often spreads sooner. When the store cannot be reached each
// Tick says so; what is held stays held until Held says otherwise.
func (k *Keeper) Tick(ctx context.Context) error {
	leave, err := k.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err = k.tick(ctx); err != nil {
		err = fmt.Errorf("lease: %s: %w", k.Prefix, err)
	}
	k.note(err)
	return err
}

func (k *Keeper) tick(ctx context.Context) error {
	start := time.Now()
	if err := k.heartbeat(ctx); err != nil {
		return err
	}
	v, err := k.look(ctx)
	if err == nil && !v.known { // found dead since the last heartbeat
		if err = k.register(ctx); err == nil {
			v, err = k.look(ctx)
		}
	}
	if err != nil {
		return err
	}
	if err := k.bury(ctx, v); err != nil {
		return err
	}
	k.settle(v)
	return k.take(ctx, v, start.Add(k.duration()/6))
}

// A view is what a look at the cells showed.
type view struct {
	leases []record
	known  bool                // this runner's own heartbeat is there
	alive  map[string]struct{} // by id, this runner included
	dead   map[string]uint64   // versions of heartbeats, by id
}

// damage is an error when a lease cannot be read.
func (v *view) damage() error {
	for _, r := range v.leases {
		if r.bad != nil {
			return r.bad
		}
	}
	return nil
}

// A peer is another runner as it was last seen.
type peer struct {
	version uint64
	still   time.Duration // for how long that version was seen
}

// look reads the leases and then the heartbeats: who is not there any more when
// it is looked for after its lease was read, has gone for good.
func (k *Keeper) look(ctx context.Context) (*view, error) {
	v := &view{alive: make(map[string]struct{}), dead: make(map[string]uint64)}
	var err error
	if v.leases, err = readLeases(ctx, k.Log, k.Prefix, k.Count); err != nil {
		return nil, err
	}
	beats, err := readRunners(ctx, k.Log, k.Prefix)
	if err != nil {
		return nil, err
	}
	_, v.known = beats[k.id]
	k.observe(beats, v)
	return v, nil
}

// observe tells the living from the dead. A runner that slept, or whose store
// did not answer for long, cannot say what happened meanwhile: of a long pause
// only as much counts as between two usual looks.
func (k *Keeper) observe(beats map[string]beat, v *view) {
	now, gap := time.Now(), time.Duration(0)
	if !k.looked.IsZero() {
		gap = min(now.Sub(k.looked), k.duration()/4)
	}
	k.looked = now
	peers := make(map[string]*peer, len(beats))
	for id, b := range beats {
		if id == k.id {
			v.alive[id] = struct{}{}
			continue
		}
		p := k.peers[id]
		if p == nil || p.version != b.version {
			p = &peer{version: b.version}
		} else {
			p.still += gap
		}
		peers[id] = p
		orphan := k.Log.Exclusive() && b.Instance != k.Log.Instance()
		if p.still >= k.expiry() || orphan {
			v.dead[id] = b.version
		} else {
			v.alive[id] = struct{}{}
		}
	}
	k.peers = peers
}

// bury removes the heartbeats of the dead. Who proves to be alive by a beat in
// the last moment stays.
func (k *Keeper) bury(ctx context.Context, v *view) error {
	for _, id := range slices.Sorted(maps.Keys(v.dead)) {
		_, err := k.Log.SwapCell(ctx, runnerKey(k.Prefix, id), v.dead[id], nil)
		var lost *driver.CellError
		switch {
		case errors.As(err, &lost) && lost.Version > 0:
			v.alive[id] = struct{}{}
		case err != nil && lost == nil:
			return err
		}
	}
	return nil
}

// settle brings what this runner believes to hold in line with what the cells
// say: a lease whose taking got no answer may be among them.
func (k *Keeper) settle(v *view) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.runners = len(v.alive)
	k.held = make(map[int]record)
	for _, r := range v.leases {
		if r.Runner == k.id {
			k.held[r.index] = r
		}
	}
	k.weigh(k.share(v))
}

// weigh finds out what is surplus: always the last ones, so that the answer
// stays the same while they are given back. The caller holds k.mu.
func (k *Keeper) weigh(share int) {
	held := slices.Sorted(maps.Keys(k.held))
	k.surplus = slices.Clone(held[min(share, len(held)):])
}

// share is how many leases are this runner's: all get the same number, and those
// that come first by id one more where that does not come out even.
func (k *Keeper) share(v *view) int {
	rank, n := k.rank(v)
	share := k.Count / n
	if rank < k.Count%n {
		share++
	}
	return share
}

func (k *Keeper) rank(v *view) (rank, n int) {
	for id := range v.alive {
		if id < k.id {
			rank++
		}
	}
	return rank, max(len(v.alive), 1)
}
