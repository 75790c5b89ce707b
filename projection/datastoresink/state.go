package datastoresink

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/projection"
)

// ErrFormat: the sink's entities were written by a newer version of this package.
var ErrFormat = errors.New("incompatible entities")

const format = 1

// head is the entity of a projection: the version that its rows are of.
type head struct {
	Format  int    `datastore:",noindex"`
	Version int    `datastore:",noindex"` // 0 while it is being emptied
	Shards  int    `datastore:",noindex"` // that have checkpoints
	Reset   string `datastore:",noindex"` // of the last one, who it was
}

// checkpoint is the entity of a shard, a child of the projection's.
type checkpoint struct {
	Format       int    `datastore:",noindex"`
	Version      int    `datastore:",noindex"`
	Revision     int64  `datastore:",noindex"`
	Handled      int64  `datastore:",noindex"`
	Skipped      int64  `datastore:",noindex"`
	LastRevision int64  `datastore:",noindex"`
	LastCommit   string `datastore:",noindex"`
	LastTime     int64  `datastore:",noindex"` // nanoseconds since 1970
}

func known(have int) error {
	if have != format {
		return fmt.Errorf("%w: they have format %d, this program knows %d", ErrFormat, have, format)
	}
	return nil
}

// headKey is a projection's key. Names like __x__ are Datastore's own.
func (s *Sink) headKey(name string) *datastore.Key {
	if strings.HasPrefix(name, "__") || strings.HasPrefix(name, "%") {
		name = "%" + name
	}
	return s.key("Projection", name, nil)
}

func (s *Sink) checkpointKey(name string, shard int) *datastore.Key {
	return s.key("Checkpoint", "shard "+strconv.Itoa(shard), s.headKey(name))
}

func (s *Sink) stopKey(name string) *datastore.Key { return s.key("Stop", "stop", s.headKey(name)) }

func (s *Sink) key(kind, name string, parent *datastore.Key) *datastore.Key {
	k := datastore.NameKey(s.opts.Prefix+kind, name, parent)
	k.Namespace = s.opts.Namespace
	return k
}

func stored(version int, c projection.Checkpoint) *checkpoint {
	out := &checkpoint{Format: format, Version: version, Revision: int64(c.Revision), Handled: int64(c.Handled), Skipped: int64(c.Skipped)}
	if c.Last.Revision > 0 {
		out.LastRevision, out.LastCommit, out.LastTime = int64(c.Last.Revision), c.Last.Commit.String(), c.Last.Time.UnixNano()
	}
	return out
}

func (c *checkpoint) read(shard int) (projection.Checkpoint, error) {
	out := projection.Checkpoint{Shard: shard, Revision: driver.Revision(c.Revision), Handled: uint64(c.Handled), Skipped: uint64(c.Skipped)}
	if c.LastRevision > 0 {
		id, err := eventlog.ParseID(c.LastCommit)
		if err != nil {
			return out, fmt.Errorf("shard %d: %w", shard, err)
		}
		out.Last = projection.Mark{Revision: driver.Revision(c.LastRevision), Commit: id, Time: time.Unix(0, c.LastTime).UTC()}
	}
	return out, nil
}

// State returns what the database holds of a projection.
func (s *Sink) State(ctx context.Context, name string) (projection.State, error) {
	var out projection.State
	err := s.view(ctx, func(tx *datastore.Transaction) (err error) {
		out, err = s.state(tx, name)
		return err
	})
	if err != nil {
		return projection.State{}, fmt.Errorf("datastoresink: state of %s: %w", name, err)
	}
	return out, nil
}

func (s *Sink) state(tx *datastore.Transaction, name string) (out projection.State, err error) {
	var h head
	switch err := tx.Get(s.headKey(name), &h); {
	case err == datastore.ErrNoSuchEntity:
	case err != nil:
		return out, unavailable(err)
	case known(h.Format) != nil:
		return out, known(h.Format)
	}
	if out.Stop, err = s.stop(tx, name); err != nil || h.Version == 0 {
		return out, err
	}
	list, err := s.checkpoints(tx, name, h.Shards)
	if err != nil {
		return out, err
	}
	out.Version = h.Version
	for shard := range list {
		c, err := list[shard].read(shard)
		if err != nil {
			return out, err
		}
		out.Checkpoints = append(out.Checkpoints, c)
	}
	return out, nil
}

// checkpoints reads those of a projection that has some.
func (s *Sink) checkpoints(tx *datastore.Transaction, name string, shards int) ([]checkpoint, error) {
	list := make([]checkpoint, shards)
	for from := 0; from < shards; from += chunks {
		to := min(shards, from+chunks)
		keys := make([]*datastore.Key, 0, chunks)
		for shard := from; shard < to; shard++ {
			keys = append(keys, s.checkpointKey(name, shard))
		}
		if err := tx.GetMulti(keys, list[from:to]); err != nil {
			return nil, unavailable(err)
		}
	}
	return list, nil
}
