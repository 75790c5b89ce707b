package datastoresink

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/dserr"
	"github.com/rollforward/rollforward/projection"
)

// The sink's kinds. Checkpoints and the stop are children of their projection.
const (
	projectionKind = "rollforward_projection"
	checkpointKind = "rollforward_checkpoint"
	stopKind       = "rollforward_stop"
	garbageKind    = "rollforward_garbage" // named like the namespace that nobody reads any more
)

const format = 1

// A held is what the sink holds of a projection. Rows, which no other Reset has
// chosen, is also the sign by which a Reset whose answer was lost is recognised.
type held struct {
	Format  int    `datastore:",noindex"`
	Version int    `datastore:",noindex"`
	Shards  int    `datastore:",noindex"`
	Rows    string `datastore:",noindex"` // their namespace
}

// A checkpoint belongs to the rows that it names. Times are kept to the nanosecond,
// so not as Datastore's.
type checkpoint struct {
	Rows         string `datastore:",noindex"`
	Version      int    `datastore:",noindex"`
	Revision     int64  `datastore:",noindex"`
	Handled      int64  `datastore:",noindex"`
	Skipped      int64  `datastore:",noindex"`
	LastRevision int64  `datastore:",noindex"`
	LastCommit   string `datastore:",noindex"`
	LastNanos    int64  `datastore:",noindex"`
	Apply        string `datastore:",noindex"` // the id of the Apply that wrote it
}

func newCheckpoint(c projection.Checkpoint) checkpoint {
	out := checkpoint{Revision: int64(c.Revision), Handled: int64(c.Handled), Skipped: int64(c.Skipped)}
	if c.Last.Revision > 0 {
		out.LastRevision, out.LastCommit, out.LastNanos = int64(c.Last.Revision), c.Last.Commit.String(), c.Last.Time.UnixNano()
	}
	return out
}

func (c *checkpoint) of(shard int) (projection.Checkpoint, error) {
	out := projection.Checkpoint{Shard: shard, Revision: driver.Revision(c.Revision), Handled: uint64(c.Handled), Skipped: uint64(c.Skipped)}
	if c.LastRevision == 0 {
		return out, nil
	}
	id, err := eventlog.ParseID(c.LastCommit)
	if err != nil {
		return out, fmt.Errorf("shard %d: %w", shard, err)
	}
	out.Last = projection.Mark{Revision: driver.Revision(c.LastRevision), Commit: id, Time: time.Unix(0, c.LastNanos).UTC()}
	return out, nil
}

func (s *Sink) projectionKey(name string) *datastore.Key {
	return Key(s.o.Namespace, datastore.NameKey(projectionKind, name, nil))
}

func (s *Sink) checkpointKey(name string, shard int) *datastore.Key {
	return Key(s.o.Namespace, datastore.IDKey(checkpointKind, int64(shard)+1, s.projectionKey(name))) // 0 is no id
}

func (s *Sink) stopKey(name string) *datastore.Key {
	return Key(s.o.Namespace, datastore.IDKey(stopKind, 1, s.projectionKey(name)))
}

func (s *Sink) garbageKey(rows string) *datastore.Key {
	return Key(s.o.Namespace, datastore.NameKey(garbageKind, rows, nil))
}

// A lookup gets entities, inside or outside of a transaction.
type lookup func(ctx context.Context, keys []*datastore.Key, dst any) error

// projection returns the entity of a projection, the zero one when there is none.
func (s *Sink) projection(ctx context.Context, get lookup, name string) (held, error) {
	out := make([]held, 1)
	if err := dserr.IgnoreMissing(get(ctx, []*datastore.Key{s.projectionKey(name)}, out)); err != nil {
		return held{}, err
	}
	if out[0].Format > format {
		return held{}, fmt.Errorf("%w: they have format %d, this program knows %d", ErrFormat, out[0].Format, format)
	}
	return out[0], nil
}

// checkpoints returns the entities of some shards; those that are missing are zero.
func (s *Sink) checkpoints(ctx context.Context, get lookup, name string, shards []int) ([]checkpoint, error) {
	keys, out := make([]*datastore.Key, len(shards)), make([]checkpoint, len(shards))
	for i, shard := range shards {
		keys[i] = s.checkpointKey(name, shard)
	}
	for from := 0; from < len(keys); from += maxKeys {
		to := min(from+maxKeys, len(keys))
		if err := dserr.IgnoreMissing(get(ctx, keys[from:to], out[from:to])); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// maxKeys is how many entities one request may look up.
const maxKeys = 1000
