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
	return func(yield func(Balance, error) bool) {
		for found, err := range find[balanceEntity](ctx, r, balancesName, balanceKind, nil) {
			b := found.entity
			if !yield(Balance{b.Account, b.Currency, Kind(b.Kind), State(b.State), b.Cents}, err) || err != nil {
				return
			}
		}
	}
}

func (r datastoreTables) statement(ctx context.Context, name string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		err := fmt.Errorf("%s: %w", name, ErrNoAccount)
		for _, err = range find[balanceEntity](ctx, r, balancesName, balanceKind, accountKey(name)) {
			break
		}
		if err != nil {
			yield(Line{}, err)
			return
		}
		r.postings(ctx, accountKey(name))(yield)
	}
}

func (r datastoreTables) lines(ctx context.Context) iter.Seq2[Line, error] {
	return r.postings(ctx, nil)
}

// postings yields the lines of the statements below a key, nil for all.
func (r datastoreTables) postings(ctx context.Context, above *datastore.Key) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		for statement, err := range find[statementEntity](ctx, r, statementsName, statementKind, above) {
			if err != nil {
				yield(Line{}, err)
				return
			}
			for from := int64(1); from <= statement.entity.Lines; from += pageSize {
				list, err := r.page(ctx, statement.key, from, min(from+pageSize-1, statement.entity.Lines))
				if err != nil {
					yield(Line{}, err)
					return
				}
				for _, p := range list {
					if !yield(p.line(), nil) {
						return
					}
				}
			}
		}
	}
}

// page gets the lines from one to another. One that is missing is left out, as a table
// does it: the audit finds it.
func (r datastoreTables) page(ctx context.Context, statement *datastore.Key, from, to int64) ([]postingEntity, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	keys, out := make([]*datastore.Key, to-from+1), make([]postingEntity, to-from+1)
	for i := range keys {
		keys[i] = datastore.IDKey(postingKind, from+int64(i), statement)
		keys[i].Namespace = statement.Namespace
	}
	err := r.client.GetMulti(ctx, keys, out)
	var each datastore.MultiError
	if !errors.As(err, &each) {
		return out, err
	}
	there := out[:0]
	for i, err := range each {
		if err == nil {
			there = append(there, out[i])
		} else if !errors.Is(err, datastore.ErrNoSuchEntity) {
			return nil, err
		}
	}
	return there, nil
}

func (p postingEntity) line() Line {
	return Line{Account: p.Account, Currency: p.Currency, Version: uint64(p.Version), Date: Date(p.Date), Transaction: p.Transaction,
		Saga: p.Saga, Description: p.Description, Amount: p.Amount, Balance: p.Balance}
}

// A found is an entity with its key.
type found[E any] struct {
	key    *datastore.Key
	entity E
}

// find yields the entities of a projection that have a kind, below a key if there is
// one, in the order of their keys.
func find[E any](ctx context.Context, r datastoreTables, projection, kind string, above *datastore.Key) iter.Seq2[found[E], error] {
	return func(yield func(found[E], error) bool) {
		namespace, err := r.sink.Namespace(ctx, projection)
		if err != nil {
			yield(found[E]{}, err)
			return
		}
		q := datastore.NewQuery(kind).Namespace(namespace).Order("__key__").Limit(pageSize)
		if above != nil {
			q = q.Ancestor(datastoresink.Key(namespace, above))
		}
		for n := pageSize; n == pageSize; {
			list, next, err := results[E](ctx, r.client, q)
			if err != nil {
				yield(found[E]{}, err)
				return
			}
			for _, f := range list {
				if !yield(f, nil) {
					return
				}
			}
			n, q = len(list), q.Start(next)
		}
	}
}

const (
	pageSize = 500
	patience = 30 * time.Second // with a page; without a server the library waits
)

// results returns what one page of a query finds, and where the next begins.
func results[E any](ctx context.Context, client *datastore.Client, q *datastore.Query) (list []found[E], next datastore.Cursor, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	it := client.Run(ctx, q)
	for {
		var f found[E]
		if f.key, err = it.Next(&f.entity); errors.Is(err, iterator.Done) {
			next, err = it.Cursor()
			return list, next, err
		}
		if err != nil {
			return nil, next, err
		}
		list = append(list, f)
	}
}
