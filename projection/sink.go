package projection

import (
	"context"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
)

// A Sink is where read models are kept: a store whose transactions, of type T,
// can take rows and checkpoints together, such as those of sqlsink and datastoresink.
// Its methods are called by many goroutines at a time.
type Sink[T any] interface {
	// State returns what the sink holds of a projection. The zero State says
	// that there is nothing.
	State(ctx context.Context, name string) (State, error)

	// Apply runs fn and moves checkpoints in one transaction, or does neither.
	// When the sink does not hold the batch's version, or a checkpoint of the
	// batch is not where it moves from, nothing is done and the error wraps
	// ErrMoved. An error of fn rolls everything back and is returned, wrapped
	// or not, unless it was the sink that failed under fn: then that is returned,
	// and fn's error is not in it. Every other error leaves open whether the transaction was
	// committed: the caller asks for the State and goes on from there. fn may
	// be run more than once when what the earlier runs wrote is rolled back.
	Apply(ctx context.Context, b Batch, fn func(tx T) error) error

	// Reset runs fn and sets the checkpoints of r to zero in one transaction. When
	// the sink holds another version than r.Held, nothing is done and the error
	// wraps ErrMoved. Otherwise the errors are those of Apply.
	Reset(ctx context.Context, r Reset, fn func(tx T) error) error

	// Note keeps s as the State's Stop, in place of an earlier one, also where the
	// sink holds nothing else of the projection. nil, and every Reset, forgets it.
	Note(ctx context.Context, name string, s *Stop) error
}

// A State is what a sink holds of a projection.
type State struct {
	Version     int          // 0: nothing
	Checkpoints []Checkpoint // of all shards, in order
	Stop        *Stop        // as Note was told, nil when nothing was; see Stopped
}

// Position returns how far the read model has come.
func (s State) Position() eventlog.Position {
	var p eventlog.Position
	for _, c := range s.Checkpoints {
		p = p.With(c.Shard, c.Revision)
	}
	return p
}

// A Checkpoint says how far a projection has come in a shard.
type Checkpoint struct {
	Shard    int
	Revision driver.Revision // every commit up to here took effect
	Handled  uint64          // events that went to a handler
	Skipped  uint64          // events of types without one
	Last     Mark
}

// A Mark is the last commit with events at or below a checkpoint. By it a runner
// finds out that a log is not the one that the read model was built from.
type Mark struct {
	Revision driver.Revision // 0: none
	Commit   eventlog.ID
	Time     time.Time
}

// A Batch is what one transaction applies to a projection.
type Batch struct {
	Name    string
	Version int
	Moves   []Move // at most one for each shard
}

// A Move takes the checkpoint of one shard from From.Revision, where it must be,
// to To.
type Move struct{ From, To Checkpoint }

// A Reset puts a projection at its beginning: version Version, and a zero
// checkpoint for each of Shards shards. Held is the version that the sink holds,
// 0 when it holds nothing. Checkpoints of other versions are forgotten.
type Reset struct {
	Name    string
	Held    int
	Version int
	Shards  int
}
