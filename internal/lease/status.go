package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
)

// A Status is what the log says of a lease.
type Status struct {
	Index  int
	Epoch  uint64    // 0: nobody ever had it
	Since  time.Time // when it changed hands
	Runner string    // id of the holder, "": it is free
	Name   string    // of the holder
	Host   string    // and process of the holder
	Beat   time.Time // about when the holder gave its last sign of life, by its clock
	Err    error     // why nothing is known: the cell is damaged
}

// Leases returns the state of all leases of a Prefix, for status commands. A
// holder that died is shown until somebody finds it dead: look at Beat.
func Leases(ctx context.Context, l *eventlog.Log, prefix string, count int) ([]Status, error) {
	records, err := readLeases(ctx, l, prefix, count)
	if err != nil {
		return nil, fmt.Errorf("lease: %s: %w", prefix, err)
	}
	runners, err := readRunners(ctx, l, prefix)
	if err != nil {
		return nil, fmt.Errorf("lease: %s: %w", prefix, err)
	}
	list := make([]Status, len(records))
	for i, r := range records {
		list[i] = Status{Index: i, Epoch: r.Epoch, Since: r.Since, Err: r.bad}
		if b, ok := runners[r.Runner]; ok {
			list[i].Runner, list[i].Name, list[i].Host = r.Runner, b.Name, b.Host
			list[i].Beat = time.Unix(0, int64(b.version)).UTC()
		}
	}
	return list, nil
}
