package outbox

import (
	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// A shardPlace says how far a shard's events have been dealt with: up to
// Revision, and of the commit behind it those with an Index below Done.
type shardPlace struct {
	Revision driver.Revision
	Done     int
}

// passed reports whether r was dealt with.
func (p shardPlace) passed(r *eventlog.Record) bool {
	return r.Revision <= p.Revision || r.Revision == p.Revision+1 && r.Index < p.Done
}

// placeBehind is the place behind r.
func placeBehind(r *eventlog.Record) shardPlace {
	if r.Last() {
		return shardPlace{Revision: r.Revision}
	}
	return shardPlace{Revision: r.Revision - 1, Done: r.Index + 1}
}
