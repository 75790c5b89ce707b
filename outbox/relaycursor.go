package outbox

import (
	"fmt"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/lease"
)

// A relayCursor is kept in a cell: how far a shard has been published, and the
// epoch of the lease under which it was written.
type relayCursor struct {
	Revision driver.Revision `json:"revision"`
	Done     int             `json:"done,omitempty"` // events of the commit behind it
	Epoch    uint64          `json:"epoch"`
}

func (c relayCursor) place() shardPlace { return shardPlace{c.Revision, c.Done} }

// A relayMark is the cell as last seen.
type relayMark = lease.Cursor[relayCursor]

func relayCursors(l *eventlog.Log, name string, after eventlog.Position) *lease.Cursors[relayCursor] {
	return &lease.Cursors[relayCursor]{Log: l,
		Key:   func(shard int) string { return fmt.Sprintf("$relay-%s\x01cursor\x01%04d", name, shard) },
		Begin: func(shard int) relayCursor { return relayCursor{Revision: after.Revision(shard)} },
		Epoch: func(c *relayCursor) *uint64 { return &c.Epoch },
	}
}
