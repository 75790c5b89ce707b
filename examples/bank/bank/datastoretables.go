package bank

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/iterator"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// NewDatastoreReadModel returns the read model of log in the client's database, in
// namespaces that begin with namespace. The client stays the caller's.
func NewDatastoreReadModel(log *eventlog.Log, client *datastore.Client, namespace string) (*ReadModel, error) {
	sink, err := datastoresink.New(client, &datastoresink.Options{Namespace: namespace})
	if err != nil {
		return nil, err
	}
	r := &datastoresink.Runner{Log: log, Sink: sink, Projections: DatastoreProjections()}
	return &ReadModel{log, r, sink.State, datastoreTables{client, sink}}, nil
}

type datastoreTables struct {
	client *datastore.Client
	sink   *datastoresink.Sink
}

// tidy deletes what a rebuild has left.
func (r datastoreTables) tidy(ctx context.Context) error {
	_, err := r.sink.Clear(ctx)
	return err
}

func (r datastoreTables) close() error { return nil }

func (r datastoreTables) balances(ctx context.Context) iter.Seq2[Balance, error] {
	return entities(ctx, r, balancesName, datastore.NewQuery(balanceKind), nil, func(_ *datastore.Key, b balanceEntity) Balance {
		return Balance{b.Account, b.Currency, Kind(b.Kind), State(b.State), b.Cents}
	})
}

func (r datastoreTables) statement(ctx context.Context, name string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		above := accountKey(name)
		none := fmt.Errorf("%s: %w", name, ErrNoAccount)
		for _, none = range entities(ctx, r, balancesName, datastore.NewQuery(balanceKind), above, func(*datastore.Key, balanceEntity) struct{} {
			return struct{}{}
		}) {
			break
		}
		if none != nil {
			yield(Line{}, none)
			return
		}
		entities(ctx, r, statementsName, datastore.NewQuery(postingKind), above, line)(yield)
	}
}

func (r datastoreTables) lines(ctx context.Context) iter.Seq2[Line, error] {
	return entities(ctx, r, statementsName, datastore.NewQuery(postingKind), nil, line)
}

func line(key *datastore.Key, p postingEntity) Line {
	return Line{Account: p.Account, Currency: p.Currency, Version: uint64(key.ID), Date: Date(p.Date), Transaction: p.Transaction,
		Saga: p.Saga, Description: p.Description, Amount: p.Amount, Balance: p.Balance}
}

// entities yields what row makes of the entities of a projection that a query finds,
// below a key if there is one, in the order of their keys. They are read page by page:
// what is written meanwhile may be seen or not.
func entities[E, T any](ctx context.Context, r datastoreTables, projection string, q *datastore.Query, above *datastore.Key,
	row func(*datastore.Key, E) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		namespace, err := r.sink.Namespace(ctx, projection)
		if err != nil {
			yield(*new(T), err)
			return
		}
		q := q.Namespace(namespace).Order("__key__").Limit(pageSize)
		if above != nil {
			q = q.Ancestor(datastoresink.Key(namespace, above))
		}
		for n := pageSize; n == pageSize; {
			var list []E
			keys, next, err := page(ctx, r.client, q, &list)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for i, key := range keys {
				if !yield(row(key, list[i]), nil) {
					return
				}
			}
			n, q = len(keys), q.Start(next)
		}
	}
}

const (
	pageSize     = 500
	pagePatience = 30 * time.Second
)

func page[E any](ctx context.Context, client *datastore.Client, q *datastore.Query, list *[]E) (keys []*datastore.Key, next datastore.Cursor, err error) {
	ctx, cancel := context.WithTimeout(ctx, pagePatience) // without a server the library waits
	defer cancel()
	it := client.Run(ctx, q)
	for {
		var e E
		key, err := it.Next(&e)
		if errors.Is(err, iterator.Done) {
			next, err = it.Cursor()
			return keys, next, err
		}
		if err != nil {
			return nil, next, err
		}
		keys, *list = append(keys, key), append(*list, e)
	}
}
