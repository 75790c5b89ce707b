package datastoresink_test

import (
	"context"
	"testing"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection/datastoresink"
	"github.com/rollforward/rollforward/projection/sinktest"
)

// place is an empty database of a leg.
type place struct {
	fake   *dsfake.Server // nil on an emulator
	client func(t *testing.T) *datastore.Client
}

// legs are where every promise is held.
var legs = []struct {
	name string
	open func(t *testing.T) place
}{
	{"optimistic", func(t *testing.T) place { return fake(t, dsfake.Optimistic) }},
	{"pessimistic", func(t *testing.T) place { return fake(t, dsfake.Pessimistic) }},
	{"Datastore emulator", func(t *testing.T) place { return emulated(t, emulator.DatastoreIndexed) }},
	{"Firestore emulator", func(t *testing.T) place { return emulated(t, emulator.Firestore) }},
}

func fake(t *testing.T, mode dsfake.Mode) place {
	s := dsfake.New(&dsfake.Options{Mode: mode})
	t.Cleanup(func() { s.Close() })
	return place{s, func(t *testing.T) *datastore.Client {
		c, err := s.Client(t.Context(), "project", "")
		return closing(t, c, err)
	}}
}

func emulated(t *testing.T, k emulator.Kind) place {
	host, project := k.Host(t), emulator.Project()
	return place{nil, func(t *testing.T) *datastore.Client {
		c, err := datastore.NewClient(t.Context(), project, emulator.Options(host)...)
		return closing(t, c, err)
	}}
}

func closing(t *testing.T, c *datastore.Client, err error) *datastore.Client {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// onLegs runs a test on every leg.
func onLegs(t *testing.T, f func(t *testing.T, p place)) {
	t.Parallel()
	for _, l := range legs {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			f(t, l.open(t))
		})
	}
}

func TestSink(t *testing.T) {
	t.Parallel()
	for _, l := range legs {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			sinktest.Run(t, func(t *testing.T) sinktest.Store[*datastoresink.Tx] { return store(t, l.open(t)) })
		})
	}
}

// Item is a row of the suite.
type Item struct{ N int }

func store(t *testing.T, p place) sinktest.Store[*datastoresink.Tx] {
	s := datastoresink.New(p.client(t), nil)
	return sinktest.Store[*datastoresink.Tx]{
		Sink:   s,
		Clear:  datastoresink.Clear("Item"),
		Add:    add,
		Rows:   func(ctx context.Context) (map[string]int, error) { return items(ctx, s.Client()) },
		Reopen: func() sinktest.Store[*datastoresink.Tx] { return store(t, p) },
	}
}

func add(tx *datastoresink.Tx, name string, n int) error {
	key, i := datastore.NameKey("Item", name, nil), Item{}
	if err := tx.Get(key, &i); err != nil && err != datastore.ErrNoSuchEntity {
		return err
	}
	i.N += n
	_, err := tx.Put(key, &i)
	return err
}

func items(ctx context.Context, c *datastore.Client) (map[string]int, error) {
	var list []Item
	keys, err := c.GetAll(ctx, datastore.NewQuery("Item"), &list)
	out := make(map[string]int)
	for i, key := range keys {
		out[key.Name] = list[i].N
	}
	return out, err
}
