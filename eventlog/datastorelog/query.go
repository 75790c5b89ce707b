package datastorelog

import (
	"context"
	"errors"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/iterator"

	"github.com/rollforward/rollforward/eventlog/driver"
)

// walk yields what next reads, page by page, until it says that there is no
// more. Between pages nothing is held.
func walk[T any](ctx context.Context, l *Log, yield func(T, error) bool, next func(context.Context) (page []T, more bool, err error)) {
	for more := true; more; {
		var page []T
		err := l.err(ctx)
		if err == nil {
			calls, cancel := l.calling(ctx)
			page, more, err = next(calls)
			cancel()
			err = l.cause(ctx, err)
		}
		for i := range page {
			if l.err(ctx) != nil {
				break
			}
			if !yield(page[i], nil) {
				return
			}
		}
		if ended := l.err(ctx); ended != nil && (more || err != nil || len(page) > 0) {
			err = ended
		}
		if err != nil {
			var none T
			yield(none, l.wrap(err))
			return
		}
	}
}

// results runs a query for at most size entities and calls each with what it
// finds. Where the answer would be larger than the connection takes, it asks for
// fewer; it returns for how many it asked.
func (l *Log) results(ctx context.Context, q *datastore.Query, size int, target func() datastore.PropertyLoadSaver, each func(*datastore.Key, datastore.PropertyLoadSaver) error) (int, error) {
	for ; ; size = max(1, size/8) {
		if err := l.ramp.wait(ctx, 1); err != nil {
			return size, err
		}
		n := 0
		var err error
		for it := l.client.Run(ctx, q.Limit(size)); ; n++ {
			var key *datastore.Key
			e := target()
			if key, err = it.Next(e); err != nil {
				break
			}
			if err := each(key, e); err != nil {
				return size, err
			}
		}
		switch {
		case errors.Is(err, iterator.Done):
			return size, nil
		case tooLarge(err) && n > 0:
			return n, nil // the caller goes on behind them
		case tooLarge(err) && size > 1:
			continue
		}
		return size, unreachable(err)
	}
}

// blocksQuery selects the blocks that have a value in a span, in the order of that
// value.
func (l *Log) blocksQuery(s span, backward bool) *datastore.Query {
	q := datastore.NewQuery(l.kinds.block).Namespace(l.opts.Namespace).
		FilterField(propIndex, ">=", s.from).FilterField(propIndex, "<", s.to)
	if backward {
		return q.Order("-" + propIndex)
	}
	return q.Order(propIndex)
}

// A row is a result of a query that the index answers alone: a value.
type row struct {
	Value string `datastore:"index"`
}

// Load implements datastore.PropertyLoadSaver.
func (r *row) Load(props []datastore.Property) error { return datastore.LoadStruct(r, props) }

// Save implements datastore.PropertyLoadSaver.
func (r *row) Save() ([]datastore.Property, error) { return datastore.SaveStruct(r) }

// values returns the first values of a span, at most size; end says that there are
// no more.
func (l *Log) values(ctx context.Context, s span, backward bool, size int) (list []string, end bool, err error) {
	if s.empty() {
		return nil, true, nil
	}
	q := l.blocksQuery(s, backward).Project(propIndex)
	size, err = l.results(ctx, q, size, func() datastore.PropertyLoadSaver { return new(row) }, func(_ *datastore.Key, e datastore.PropertyLoadSaver) error {
		list = append(list, e.(*row).Value)
		return nil
	})
	return list, len(list) < size, err
}

// lastPlace returns the last place in a span, the zero one where there is none.
func (l *Log) lastPlace(ctx context.Context, s span) (p place, err error) {
	list, _, err := l.values(ctx, s, true, 1)
	if err != nil || len(list) == 0 {
		return place{}, l.cause(ctx, err)
	}
	p.last, p.block, err = parsePlace(list[0])
	return p, err
}

// tail asks the index where a shard ends.
func (l *Log) tail(ctx context.Context, shard int) (place, error) {
	p, err := l.lastPlace(ctx, places(shard, 0))
	if err != nil {
		return place{}, err
	}
	l.heads.learn(shard, p)
	return p, nil
}

// Tail returns the last revision of a shard, 0 for an empty one.
func (l *Log) Tail(ctx context.Context, shard int) (driver.Revision, error) {
	rev, err := l.knownTail(ctx, shard)
	return rev, l.wrap(err)
}

// fewBlocks is how many blocks behind a known one are looked for one by one, before a
// query tells where the end is.
const fewBlocks = 4

// knownTail looks for the block behind the last one that is known, and so on, which takes
// less time than a query; where many came the query answers.
func (l *Log) knownTail(ctx context.Context, shard int) (driver.Revision, error) {
	if err := l.err(ctx); err != nil {
		return 0, err
	}
	calls, cancel := l.calling(ctx)
	defer cancel()
	p, known := l.heads.get(shard)
	for n := 0; known && n < fewBlocks; n++ {
		next, err := l.next(calls, shard, p.block+1)
		if err != nil || next == nil {
			return p.last, l.cause(ctx, err)
		}
		p = place{next.last, next.number}
	}
	p, err := l.tail(calls, shard)
	return p.last, l.cause(ctx, err)
}
