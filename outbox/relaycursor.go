package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// A relayCursor is kept in a cell: how far a shard has been published, and the
// epoch of the lease under which it was written. Taking the lease writes it, so
// that whoever had the lease before can move it no more.
type relayCursor struct {
	Revision driver.Revision `json:"revision"`
	Done     int             `json:"done,omitempty"` // events of the commit behind it
	Epoch    uint64          `json:"epoch"`
}

func (c relayCursor) place() shardPlace { return shardPlace{c.Revision, c.Done} }

// A relayMark is the cell as last seen.
type relayMark struct {
	relayCursor
	version uint64 // 0: absent
}

func relayCursorKey(name string, shard int) string {
	return fmt.Sprintf("$relay-%s\x01cursor\x01%04d", name, shard)
}

func readRelayMark(ctx context.Context, l *eventlog.Log, name string, shard int, after eventlog.Position) (relayMark, error) {
	m := relayMark{relayCursor: relayCursor{Revision: after.Revision(shard)}}
	key := relayCursorKey(name, shard)
	value, version, err := l.ReadCell(ctx, key)
	if err != nil || version == 0 {
		return m, err
	}
	m.version = version
	if err := json.Unmarshal(value, &m.relayCursor); err != nil {
		return m, fmt.Errorf("%w: cell %q: %w", eventlog.ErrCorrupt, key, err)
	}
	return m, nil
}

// fence writes the cursor as it is, under the new epoch.
func (e *relay) fence(ctx context.Context, shard int, epoch uint64) ([]driver.CellOp, error) {
	m, err := readRelayMark(ctx, e.Log, e.name, shard, e.after)
	if err != nil {
		return nil, err
	}
	m.Epoch = epoch
	value, err := json.Marshal(m.relayCursor)
	return []driver.CellOp{{Op: driver.Put, If: &m.version, Cell: driver.Cell{Key: relayCursorKey(e.name, shard), Value: value}}}, err
}

// errRelayLost says that the cursor is in other hands.
var errRelayLost = errors.New("the lease was lost")

// loadMark reads the cursor that the lease was taken with. It is not in other
// hands when somebody removed it, so that it begins anew.
func (s *relayShard) loadMark(ctx context.Context) (relayMark, error) {
	m, err := readRelayMark(ctx, s.Log, s.name, s.shard, s.after)
	if err == nil && m.version > 0 && m.Epoch != s.lease.Epoch {
		s.logger.Warn("the cursor of a shard is in other hands", "shard", s.shard, "epoch", m.Epoch, "held", s.lease.Epoch)
		err = errRelayLost
	}
	return m, err
}

// saveMark moves the cursor, and returns the cell as it is then.
func (s *relayShard) saveMark(ctx context.Context, m relayMark, to shardPlace) (relayMark, error) {
	next := relayCursor{to.Revision, to.Done, s.lease.Epoch}
	value, err := json.Marshal(next)
	for try := 1; err == nil; try++ {
		var version uint64
		version, err = s.Log.SwapCell(ctx, relayCursorKey(s.name, s.shard), m.version, value)
		if err == nil {
			return relayMark{next, version}, nil
		}
		if !errors.As(err, new(*driver.CellError)) && !errors.Is(err, driver.ErrUnknown) || try == 3 {
			break
		}
		m, err = s.loadMark(ctx) // under this epoch only this runner writes: an earlier attempt did arrive
	}
	return m, err
}
