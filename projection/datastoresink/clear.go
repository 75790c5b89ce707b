package datastoresink

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/iterator"
)

// Clear deletes the rows that Resets have left behind, and returns how many. It takes
// as long as that takes, deletes 500 a request, and goes on where an earlier one was
// interrupted; several at a time do no harm.
func (s *Sink) Clear(ctx context.Context) (deleted int, err error) {
	list, err := s.list(ctx, datastore.NewQuery(garbageKind).Namespace(s.o.Namespace).KeysOnly())
	for _, g := range list {
		if err == nil {
			var n int
			n, err = s.empty(ctx, g.Name)
			deleted += n
		}
		if err == nil {
			err = s.delete(ctx, []*datastore.Key{g})
		}
	}
	if err != nil {
		return deleted, fmt.Errorf("datastoresink: clear: %w", err)
	}
	return deleted, nil
}

// empty deletes all of a namespace.
func (s *Sink) empty(ctx context.Context, namespace string) (deleted int, err error) {
	var after string
	for {
		q := datastore.NewQuery("").Namespace(namespace).KeysOnly().Limit(clearing)
		keys, next, err := s.page(ctx, q, after)
		if err != nil || next == "" {
			return deleted, err
		}
		if err := s.delete(ctx, keys); err != nil {
			return deleted, err
		}
		deleted, after = deleted+len(keys), next
	}
}

const clearing = 500

// page returns the keys of a query's results behind a cursor, and the next cursor, ""
// when there were none. Kinds that Datastore keeps itself, such as statistics, are
// left out.
func (s *Sink) page(ctx context.Context, q *datastore.Query, after string) (keys []*datastore.Key, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	if after != "" {
		c, err := datastore.DecodeCursor(after)
		if err != nil {
			return nil, "", err
		}
		q = q.Start(c)
	}
	it := s.client.Run(ctx, q)
	for some := false; ; some = true {
		key, err := it.Next(nil)
		if errors.Is(err, iterator.Done) && some {
			break
		}
		if errors.Is(err, iterator.Done) {
			return nil, "", nil
		}
		if err != nil {
			return nil, "", err
		}
		if !strings.HasPrefix(key.Kind, "__") {
			keys = append(keys, key)
		}
	}
	c, err := it.Cursor()
	return keys, c.String(), err
}

func (s *Sink) list(ctx context.Context, q *datastore.Query) ([]*datastore.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	return s.client.GetAll(ctx, q, nil)
}

// delete deletes entities outside of a transaction: each of them or none is as good.
func (s *Sink) delete(ctx context.Context, keys []*datastore.Key) error {
	for n := 1; ; n++ {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
			defer cancel()
			return s.client.DeleteMulti(ctx, keys)
		}()
		if err == nil || !mayPass(err) || n == deleteAttempts || pause(ctx, n) != nil {
			return err
		}
	}
}

const deleteAttempts = 5
