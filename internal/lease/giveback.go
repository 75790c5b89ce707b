package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// GiveBack makes a lease free that this runner holds, and does nothing when it
// holds it no more. Its user has stopped to work on it. After an error Held may
// have the lease again, from the next Tick on: it is to be given back again.
func (k *Keeper) GiveBack(ctx context.Context, index int) error {
	leave, err := k.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	r, ok := k.release(index)
	if !ok {
		return nil
	}
	r.Runner, r.Since = "", k.Log.Now()
	op, err := k.put(r)
	if err == nil {
		_, err = k.Log.SwapCells(ctx, op)
	}
	if err != nil && !refused(err) { // refused: somebody else has it
		return fmt.Errorf("lease: %s: give %d back: %w", k.Prefix, index, err)
	}
	return nil
}

// release forgets a lease.
func (k *Keeper) release(index int) (record, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.held[index]
	delete(k.held, index)
	k.surplus = slices.DeleteFunc(k.surplus, func(i int) bool { return i == index })
	return r, ok
}

// Close gives everything back: it removes the heartbeat, without which no lease
// of this runner is held. Its user has stopped to work. After an error the
// leases are free when the runner is found dead. A later Tick begins anew.
func (k *Keeper) Close(ctx context.Context) error {
	leave, err := k.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	id, version := k.id, k.version
	k.forget()
	if id == "" {
		return nil
	}
	if err := k.remove(ctx, runnerKey(k.Prefix, id), version); err != nil {
		return fmt.Errorf("lease: %s: close: %w", k.Prefix, err)
	}
	return nil
}

// remove removes the own heartbeat, whatever was written there last.
func (k *Keeper) remove(ctx context.Context, key string, version uint64) error {
	for try := 1; ; try++ {
		_, err := k.Log.SwapCell(ctx, key, version, nil)
		if err == nil || !refused(err) && !errors.Is(err, driver.ErrUnknown) || try == 3 {
			return err
		}
		var missing error
		if _, version, missing = k.Log.ReadCell(ctx, key); missing != nil || version == 0 {
			return missing
		}
	}
}
