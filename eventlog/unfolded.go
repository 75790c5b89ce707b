package eventlog

import (
	"context"
	"fmt"
	"time"
)

// Unfolded says what waits in a shard to be folded.
type Unfolded struct {
	Shard   int
	Cells   int // that hold them
	Appends int
	Events  int
	Bytes   int64
	Oldest  time.Time // of the appends
}

// Unfolded returns the relaxed appends that have no place yet, by shard; shards
// without any are not there. It reads all of them. An append whose put was repeated
// after it had been folded counts until that is found out.
func (l *Log) Unfolded(ctx context.Context) ([]Unfolded, error) {
	shards, err := l.LooseShards(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]Unfolded, 0, len(shards))
	for _, s := range shards {
		u := Unfolded{Shard: s}
		for raw, err := range l.driver.Cells(ctx, looseShard(s), behind(looseShard(s)), 0) {
			var c *looseCell
			if err == nil {
				c, err = decodeLoose(s, l.Shards(), raw)
			}
			if err != nil {
				return nil, fmt.Errorf("eventlog: unfolded: %w", err)
			}
			u.add(c)
		}
		if u.Cells > 0 { // not folded meanwhile
			list = append(list, u)
		}
	}
	return list, nil
}

func (u *Unfolded) add(c *looseCell) {
	u.Cells++
	u.Appends += len(c.commits)
	u.Bytes += int64(c.bytes)
	for _, one := range c.commits {
		u.Events += len(one.events)
	}
	if t := time.Unix(0, c.time).UTC(); u.Oldest.IsZero() || t.Before(u.Oldest) {
		u.Oldest = t
	}
}
