package outbox

import (
	"time"
)

// report tells what is known of the shard.
func (s *source) report() {
	s.Hooks.shard(s.info())
}

func (s *source) info() ShardInfo {
	i := ShardInfo{Shard: s.shard, Held: !s.guest && !s.lost, Due: s.mark.Due, Parked: s.mark.Parked, Stopped: s.mark.Stopped}
	for _, st := range s.states {
		if st == pending || st == deferred {
			i.Backlog++
		}
	}
	for _, it := range s.loose {
		if it.cell == "" {
			switch it.kind {
			case dueCells:
				i.Due++
			case parkedCells:
				i.Parked++
			case stopCells:
				i.Stopped++
			}
		}
	}
	return i
}

// since is how long ago t was, 0 for "never".
func since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return time.Since(t)
}
