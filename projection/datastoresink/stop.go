package datastoresink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/projection"
)

type stop struct {
	Version  int    `datastore:",noindex"`
	Nanos    int64  `datastore:",noindex"`
	Shard    int    `datastore:",noindex"`
	Revision int64  `datastore:",noindex"`
	Reason   string `datastore:",noindex"`
}

// Note keeps why a projection stopped; nil forgets it.
func (s *Sink) Note(ctx context.Context, name string, why *projection.Stop) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	var err error
	if key := s.stopKey(name); why == nil {
		err = s.client.Delete(ctx, key)
	} else {
		_, err = s.client.Put(ctx, key, &stop{why.Version, why.Time.UnixNano(), why.Shard, int64(why.Revision), strings.ToValidUTF8(why.Reason, "\ufffd")})
	}
	if err != nil {
		return fmt.Errorf("datastoresink: note of %s: %w", name, err)
	}
	return nil
}

func (s *Sink) stop(ctx context.Context, name string) (*projection.Stop, error) {
	var out stop
	err := s.client.Get(ctx, s.stopKey(name), &out)
	switch {
	case errors.Is(err, datastore.ErrNoSuchEntity):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &projection.Stop{Version: out.Version, Time: time.Unix(0, out.Nanos).UTC(), Shard: out.Shard,
		Revision: driver.Revision(out.Revision), Reason: out.Reason}, nil
}
