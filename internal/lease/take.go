package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// atOnce is how many leases are taken at a time: stores merge writes, and a
// store far away answers slowly.
const atOnce = 16

// take takes free leases up to this runner's share. What is not taken before
// the time is over waits for the next Tick, behind a heartbeat.
func (k *Keeper) take(ctx context.Context, v *view, until time.Time) error {
	t := &taking{Keeper: k, free: k.free(v), until: until}
	t.missing = k.share(v) - len(k.held)
	var work sync.WaitGroup
	for range min(atOnce, t.missing, len(t.free)) {
		work.Go(func() { t.run(ctx) })
	}
	work.Wait()
	if t.err != nil {
		return t.err
	}
	return v.damage()
}

// free returns the leases that nobody holds. Each runner begins at another one,
// so that those who come at the same time do not all want the same.
func (k *Keeper) free(v *view) []record {
	rank, n := k.rank(v)
	var list []record
	for i := range v.leases {
		r := v.leases[(i+rank*k.Count/n)%k.Count]
		if _, alive := v.alive[r.Runner]; !alive && r.bad == nil {
			list = append(list, r)
		}
	}
	return list
}

// taking is what the goroutines of one take share.
type taking struct {
	*Keeper
	until time.Time

	mu      sync.Mutex
	free    []record // not tried yet
	missing int      // that nobody is at
	err     error    // the first one
}

func (t *taking) run(ctx context.Context) {
	for {
		r, ok := t.next()
		if !ok {
			return
		}
		taken, err := t.takeOne(ctx, r)
		t.mu.Lock()
		if !taken {
			t.missing++
		}
		if t.err == nil {
			t.err = err
		}
		t.mu.Unlock()
	}
}

func (t *taking) next() (record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.missing <= 0 || len(t.free) == 0 || !time.Now().Before(t.until) {
		return record{}, false
	}
	r := t.free[0]
	t.free = t.free[1:]
	t.missing--
	return r, true
}

// takeOne takes a lease unless somebody else does. The write says that this
// runner is still alive for all, and fences the holder before.
func (k *Keeper) takeOne(ctx context.Context, r record) (bool, error) {
	seen := r.version
	r.Runner, r.Epoch, r.Since = k.id, r.Epoch+1, k.Log.Now()
	lease, err := k.put(r)
	if err != nil {
		return false, err
	}
	self := driver.CellOp{Op: driver.Check, If: &k.version, Cell: driver.Cell{Key: runnerKey(k.Prefix, k.id)}}
	for range 3 {
		var fence []driver.CellOp
		if k.Fence != nil {
			if fence, err = k.Fence(ctx, r.index, r.Epoch); err != nil {
				return false, fmt.Errorf("fence of %d: %w", r.index, err)
			}
		}
		r.version, err = k.Log.SwapCells(ctx, append([]driver.CellOp{self, lease}, fence...)...)
		var lost *driver.CellError
		switch {
		case err == nil:
			k.hold(r)
			return true, nil
		case errors.Is(err, driver.ErrUnknown):
			return k.found(ctx, r, err)
		case !errors.As(err, &lost):
			return false, err
		case lost.Key == lease.Cell.Key, lost.Key == self.Cell.Key:
			return false, nil // the next Tick finds out
		}
		err = fmt.Errorf("fence of %d: %w", r.index, err)
	}
	return false, fmt.Errorf("lease %d, version %d: %w", r.index, seen, err)
}

// found looks whether a taking without an answer was done. If it is done later,
// the next Tick sees it.
func (k *Keeper) found(ctx context.Context, r record, unknown error) (bool, error) {
	value, version, err := k.Log.ReadCell(ctx, leaseKey(k.Prefix, r.index))
	if err != nil {
		return false, err
	}
	now := decodeRecord(r.index, driver.Cell{Value: value, Version: version})
	if now.Runner != r.Runner || now.Epoch != r.Epoch {
		return false, unknown
	}
	k.hold(now)
	return true, nil
}

func (k *Keeper) hold(r record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[r.index] = r
}

// put is the write of a lease that nobody else wrote since it was read.
func (k *Keeper) put(r record) (driver.CellOp, error) {
	value, err := json.Marshal(r)
	version := r.version
	return driver.CellOp{Op: driver.Put, If: &version, Cell: driver.Cell{Key: leaseKey(k.Prefix, r.index), Value: value}}, err
}
