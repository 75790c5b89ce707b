package lease

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// register makes this runner known, under an id that was never used. What may
// still arrive of an attempt without answer is then the heartbeat of somebody
// who holds nothing and is soon found dead.
func (k *Keeper) register(ctx context.Context) error {
	k.forget()
	unique, err := uuid.NewV7()
	if err != nil {
		return err
	}
	id, start := unique.String(), time.Now()
	version, err := k.Log.SwapCell(ctx, runnerKey(k.Prefix, id), 0, k.self())
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.id, k.version, k.beat, k.held = id, version, start, make(map[int]record)
	return nil
}

func (k *Keeper) self() []byte {
	value, err := json.Marshal(runner{Name: k.Name, Host: host(), Started: k.Log.Now(), Instance: k.Log.Instance()})
	if err != nil {
		panic(err) // texts and a time
	}
	return value
}

// heartbeat says that this runner lives. One that was found dead meanwhile
// holds nothing any more and registers anew.
func (k *Keeper) heartbeat(ctx context.Context) error {
	if k.id == "" {
		return k.register(ctx)
	}
	if time.Since(k.beat) < k.duration()/8 {
		return nil // more often helps nobody
	}
	key := runnerKey(k.Prefix, k.id)
	for try := 1; ; try++ {
		start := time.Now()
		version, err := k.Log.SwapCell(ctx, key, k.version, k.self())
		if err == nil {
			k.alive(version, start)
			return nil
		}
		if !refused(err) && !errors.Is(err, driver.ErrUnknown) || try == 3 {
			return err
		}
		_, version, missing := k.Log.ReadCell(ctx, key)
		switch {
		case missing != nil:
			return missing
		case version == 0:
			return k.register(ctx)
		}
		k.alive(version, k.beat) // only this runner writes under its id: an earlier attempt did arrive
	}
}

func (k *Keeper) alive(version uint64, since time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.version, k.beat = version, since
}

// refused reports whether a condition on a cell did not hold.
func refused(err error) bool {
	var lost *driver.CellError
	return errors.As(err, &lost)
}
