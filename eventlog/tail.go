package eventlog

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// Tail returns the last revision of a shard: [Log.Position] for one shard.
func (l *Log) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	if shard < 0 || shard >= l.opts.Shards {
		return 0, fmt.Errorf("eventlog: tail: shard %d: the log has 0 to %d", shard, l.opts.Shards-1)
	}
	tail, err := l.driver.Tail(ctx, shard)
	if err != nil {
		return 0, fmt.Errorf("eventlog: tail of shard %d: %w", shard, err)
	}
	return tail, nil
}
