package doorbell

import (
	"math"

	"github.com/rollforward/rollforward/eventlog"
)

// Wake tells a log what a message said: its followers look at once. A message
// that is no bell (ok is false) may be about any shard.
func Wake(l *eventlog.Log, b Bell, ok bool) {
	if ok {
		l.Wake(b.Shard, b.Revision)
		return
	}
	for shard := range l.Shards() {
		l.Wake(shard, math.MaxUint64)
	}
}
