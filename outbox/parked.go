package outbox

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/rollforward/rollforward/eventlog"
)

// Parked yields, of the steps that [Pending] yields, those that are parked and whose
// types start with prefix, shard by shard and type by type. It costs what they are,
// however many others are pending or parked.
func Parked(ctx context.Context, l *eventlog.Log, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for shard := range l.Shards() {
			from := cellsOf(parkedCells, shard) + prefix
			to := from + "\U0010ffff" // behind what any name goes on with
			for i, err := range celled(ctx, l, shard, parkedCells, from, to, math.MaxUint64) {
				if err != nil {
					err = fmt.Errorf("outbox: parked: %w", err)
				}
				if !yield(i, err) || err != nil {
					return
				}
			}
		}
	}
}
