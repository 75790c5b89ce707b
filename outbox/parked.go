package outbox

import (
	"context"
	"iter"
	"math"

	"github.com/rollforward/rollforward/eventlog"
)

// Parked yields, of the steps that [Pending] yields, those that are parked and whose
// types start with prefix, shard by shard and type by type. It costs what they are,
// however many others are pending or parked.
func Parked(ctx context.Context, l *eventlog.Log, prefix string) iter.Seq2[Info, error] {
	return shardByShard(l, "parked", func(shard int) iter.Seq2[Info, error] {
		from := cellsOf(parkedCells, shard) + prefix
		to := from + "\U0010ffff" // behind what any name goes on with
		return celled(ctx, l, shard, parkedCells, from, to, math.MaxUint64)
	})
}
