package datastoresink

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/projection"
)

// stop is the entity that says why a projection stands still.
type stop struct {
	Format   int    `datastore:",noindex"`
	Version  int    `datastore:",noindex"`
	Time     int64  `datastore:",noindex"` // nanoseconds since 1970
	Shard    int    `datastore:",noindex"`
	Revision int64  `datastore:",noindex"`
	Reason   string `datastore:",noindex"`
}

// Note keeps why a projection stopped; nil forgets it.
func (s *Sink) Note(ctx context.Context, name string, n *projection.Stop) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	var err error
	if key := s.stopKey(name); n == nil {
		err = s.client.Delete(ctx, key)
	} else {
		_, err = s.client.Put(ctx, key, &stop{format, n.Version, n.Time.UnixNano(), n.Shard, int64(n.Revision), n.Reason})
	}
	if err != nil {
		return fmt.Errorf("datastoresink: note of %s: %w", name, unavailable(err))
	}
	return nil
}

func (s *Sink) stop(tx *datastore.Transaction, name string) (*projection.Stop, error) {
	var n stop
	switch err := tx.Get(s.stopKey(name), &n); {
	case err == datastore.ErrNoSuchEntity:
		return nil, nil
	case err != nil:
		return nil, unavailable(err)
	}
	return &projection.Stop{Version: n.Version, Time: time.Unix(0, n.Time).UTC(), Reason: n.Reason, Shard: n.Shard, Revision: driver.Revision(n.Revision)}, nil
}
