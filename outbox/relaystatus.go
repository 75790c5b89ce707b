package outbox

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/lease"
)

// A RelayShard says how a Relay fares in one shard.
type RelayShard struct {
	Shard int
	// Revision is up to where the broker has taken all events, as far as it is
	// written down: up to 1024 commits without an event to publish may be behind it.
	Revision driver.Revision
	Tail     driver.Revision // of the shard
	Runner   string          // who has the lease; "": nobody
	Host     string          // and process of it
	Epoch    uint64          // of the lease
}

// Status returns how the Relay of this Name fares, by shard. It works in any
// process that has the log; Log and Name are enough, and After where the Name was
// never used.
func (r *Relay) Status(ctx context.Context) ([]RelayShard, error) {
	list, err := r.status(ctx)
	if err != nil {
		return nil, fmt.Errorf("outbox: relay %s: status: %w", r.Name, err)
	}
	return list, nil
}

func (r *Relay) status(ctx context.Context) ([]RelayShard, error) {
	if err := checkReaderName(r.Name); err != nil {
		return nil, err
	}
	leases, err := lease.Leases(ctx, r.Log, "$relay-"+r.Name, r.Log.Shards())
	if err != nil {
		return nil, err
	}
	cursors := relayCursors(r.Log, r.Name, r.After)
	list := make([]RelayShard, len(leases))
	for i, l := range leases {
		mark, err := cursors.Read(ctx, i)
		if err != nil {
			return nil, err
		}
		list[i] = RelayShard{Shard: i, Revision: mark.At.Revision, Runner: l.Name, Host: l.Host, Epoch: l.Epoch}
		if list[i].Tail, err = r.Log.Tail(ctx, i); err != nil {
			return nil, err
		}
	}
	return list, nil
}
