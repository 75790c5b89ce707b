package sinktest

import (
	"fmt"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/projection"
)

// row is the key that the suite's batches of a shard add to.
func row(shard int) string { return fmt.Sprintf("shard %d", shard) }

// move takes a shard from one revision to another.
func move(shard int, from, to driver.Revision) projection.Move {
	return projection.Move{From: checkpoint(shard, from), To: checkpoint(shard, to)}
}

// checkpoint returns a checkpoint all of whose fields say something.
func checkpoint(shard int, rev driver.Revision) projection.Checkpoint {
	if rev == 0 {
		return projection.Checkpoint{Shard: shard}
	}
	return projection.Checkpoint{
		Shard: shard, Revision: rev, Handled: 10 * uint64(rev), Skipped: uint64(rev),
		Last: projection.Mark{
			Revision: rev - 1 + rev%2,
			Commit:   eventlog.ID{byte(shard), 0xff, 15: byte(rev)},
			Time:     time.Date(2026, 11, 22, 10, 20, 30, 123456789, time.UTC),
		},
	}
}

// zero is the state of a projection at its beginning.
func zero(version, shards int) projection.State {
	s := projection.State{Version: version}
	for i := range shards {
		s.Checkpoints = append(s.Checkpoints, projection.Checkpoint{Shard: i})
	}
	return s
}

// with returns s with one checkpoint replaced.
func with(s projection.State, c projection.Checkpoint) projection.State {
	s.Checkpoints[c.Shard] = c
	return s
}
