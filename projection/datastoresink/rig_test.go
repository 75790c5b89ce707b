package datastoresink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cloud.google.com/go/datastore"
	"google.golang.org/api/option"
	"google.golang.org/grpc"

	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection/datastoresink"
	"github.com/rollforward/rollforward/projection/sinktest"
)

// A leg is a server that the tests run against.
type leg struct {
	name        string
	pessimistic bool // reads lock
	small       bool // takes 4 MiB a request
	options     func(t testing.TB) []option.ClientOption
}

var (
	optimistic  = dsfake.New(nil)
	pessimistic = dsfake.New(&dsfake.Options{Mode: dsfake.Pessimistic})
)

var legs = []leg{
	{"optimistic", false, false, func(testing.TB) []option.ClientOption { return optimistic.ClientOptions() }},
	{"pessimistic", true, false, func(testing.TB) []option.ClientOption { return pessimistic.ClientOptions() }},
	{"Datastore", false, true, func(t testing.TB) []option.ClientOption { return emulator.Options(emulator.DatastoreIndexed.Host(t)) }},
	{"Firestore", true, true, func(t testing.TB) []option.ClientOption { return emulator.Options(emulator.Firestore.Host(t)) }},
}

// each runs a test on every leg.
func each(t *testing.T, test func(t *testing.T, l leg)) {
	t.Parallel()
	for _, l := range legs {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			test(t, l)
		})
	}
}

// client returns a client of a project. What is between it and the server may do as it
// likes.
func (l leg) client(t testing.TB, project string, between grpc.UnaryClientInterceptor) *datastore.Client {
	t.Helper()
	options := l.options(t)
	if between != nil {
		options = append(options, option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(between)))
	}
	c, err := datastore.NewClient(context.Background(), project, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func newSink(t testing.TB, c *datastore.Client, o *datastoresink.Options) *datastoresink.Sink {
	t.Helper()
	s, err := datastoresink.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSink(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		sinktest.Run(t, func(t *testing.T) sinktest.Store[*datastoresink.Tx] { return store(t, l, emulator.Project()) })
	})
}

// An Item is a row of the tests.
type Item struct{ N int }

// store opens a sink for the suite's rows.
func store(t *testing.T, l leg, project string) sinktest.Store[*datastoresink.Tx] {
	c := l.client(t, project, nil)
	s := newSink(t, c, &datastoresink.Options{Namespace: "suite", Timeout: time.Minute})
	return sinktest.Store[*datastoresink.Tx]{
		Sink:   s,
		Clear:  datastoresink.Empty,
		Add:    add,
		Rows:   func(ctx context.Context) (map[string]int, error) { return items(ctx, c, s, "tests") },
		Reopen: func() sinktest.Store[*datastoresink.Tx] { return store(t, l, project) },
	}
}

// add adds to a row.
func add(tx *datastoresink.Tx, key string, n int) error {
	k, item := datastore.NameKey("Item", key, nil), Item{}
	if err := tx.Get(k, &item); err != nil && !errors.Is(err, datastore.ErrNoSuchEntity) {
		return err
	}
	item.N += n
	return tx.Put(k, &item)
}

// items returns the rows of a projection.
func items(ctx context.Context, c *datastore.Client, s *datastoresink.Sink, name string) (map[string]int, error) {
	ns, err := s.Namespace(ctx, name)
	if errors.Is(err, datastoresink.ErrNotBuilt) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Item
	keys, err := c.GetAll(ctx, datastore.NewQuery("Item").Namespace(ns), &list)
	if err != nil {
		return nil, err
	}
	out := make(map[string]int)
	for i, k := range keys {
		out[k.Name] = list[i].N
	}
	return out, nil
}
