package datastoresink_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/datastore"
	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// Everything is what a property can be.
type Everything struct {
	Key    *datastore.Key `datastore:"__key__"`
	Text   string
	Long   string `datastore:",noindex"`
	Number int64
	Float  float64
	Yes    bool
	Time   time.Time
	Bytes  []byte
	Ref    *datastore.Key
	Place  datastore.GeoPoint
	List   []string
	Inner  Inner
	Flat   Inner `datastore:",flatten"`
	Maybe  *int64
	Absent string `datastore:",omitempty"`
}

type Inner struct {
	A string
	B []int
}

func everything() Everything {
	five := int64(5)
	return Everything{Text: "ü", Long: strings.Repeat("x", 2000), Number: -7, Float: 0.1, Yes: true, Time: time.Unix(1_800_000_000, 123_456_789),
		Bytes: []byte{0, 255}, Ref: datastore.IDKey("Other", 5, nil), Place: datastore.GeoPoint{Lat: 1, Lng: 2}, List: []string{"b", "a"},
		Inner: Inner{"in", []int{1, 2}}, Flat: Inner{"flat", []int{3}}, Maybe: &five}
}

// What a handler wrote is read back as from the store: by the events behind it, by the
// next transaction, and by any client.
func TestRowsAreReadAsTheyAreStored(t *testing.T) {
	onLegs(t, func(t *testing.T, p place) {
		s := datastoresink.New(p.client(t), nil)
		key, wrote := datastore.NameKey("Everything", "a", nil), everything()
		var buffered, stored, native Everything
		reset(t, s, 0, 1, 1, func(tx *datastoresink.Tx) error {
			buffered = Everything{}
			_, err := tx.Put(key, &wrote)
			return errors.Join(err, tx.Get(key, &buffered))
		})
		if err := s.Apply(t.Context(), batch(0, 1), func(tx *datastoresink.Tx) error { stored = Everything{}; return tx.Get(key, &stored) }); err != nil {
			t.Fatal(err)
		}
		if err := s.Client().Get(t.Context(), key, &native); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(native, buffered, cmp.Comparer((*datastore.Key).Equal)); diff != "" {
			t.Errorf("in the transaction that wrote it (-stored +read):\n%s", diff)
		}
		if diff := cmp.Diff(native, stored, cmp.Comparer((*datastore.Key).Equal)); diff != "" {
			t.Errorf("in the next transaction (-stored +read):\n%s", diff)
		}
	})
}

func TestATransactionReadsItsWrites(t *testing.T) {
	inModes(t, func(t *testing.T, _ place, s *datastoresink.Sink) {
		a, b, c := datastore.NameKey("Item", "a", nil), datastore.NameKey("Item", "b", nil), datastore.NameKey("Item", "c", nil)
		reset(t, s, 0, 1, 1, func(tx *datastoresink.Tx) error { return add(tx, "a", 1) })
		err := s.Apply(t.Context(), batch(0, 1), func(tx *datastoresink.Tx) error {
			for range 10 {
				if err := errors.Join(add(tx, "a", 1), add(tx, "b", 1)); err != nil {
					return err
				}
			}
			got := make([]Item, 3)
			err := tx.GetMulti([]*datastore.Key{a, b, c}, got)
			if each, ok := err.(datastore.MultiError); !ok || each[0] != nil || each[1] != nil || each[2] != datastore.ErrNoSuchEntity || got[0].N != 11 || got[1].N != 10 {
				t.Errorf("got %v, %v", got, err)
			}
			if err := errors.Join(tx.Delete(a), tx.Delete(c)); err != nil {
				return err
			}
			if err := tx.Get(a, &Item{}); err != datastore.ErrNoSuchEntity {
				t.Errorf("a row that was deleted: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if rows, err := items(t.Context(), s.Client()); err != nil || len(rows) != 1 || rows["b"] != 10 {
			t.Errorf("rows %v: %v", rows, err)
		}
	})
}

// A batch costs its rows once, and one read and one write for the checkpoint.
func TestWhatABatchCosts(t *testing.T) {
	inModes(t, func(t *testing.T, p place, s *datastoresink.Sink) {
		reset(t, s, 0, 1, 1, nothing)
		before := p.fake.Counts()
		err := s.Apply(t.Context(), batch(0, 1), func(tx *datastoresink.Tx) error {
			for i := range 100 {
				if err := add(tx, fmt.Sprint(i%5), 1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		cost := p.fake.Counts().Sub(before)
		if cost.EntityReads != 5+1 || cost.EntityWrites != 5+1 || cost.EntityDeletes != 0 || cost.Calls["Commit"] != 1 {
			t.Errorf("100 events on 5 rows cost %+v", cost)
		}
	})
}

// What the store would refuse at the commit is refused where it is put, by name, and
// takes nothing else with it.
func TestPutRefusesAtOnce(t *testing.T) {
	t.Parallel()
	s := datastoresink.New(fake(t, dsfake.Optimistic).client(t), nil)
	good := datastore.NameKey("Item", "a", nil)
	var deep any = "x"
	for range 3 {
		deep = &datastore.Entity{Properties: []datastore.Property{{Name: "in", Value: deep}}}
	}
	for what, put := range map[string]func(tx *datastoresink.Tx) error{
		"an incomplete key": func(tx *datastoresink.Tx) error {
			_, err := tx.Put(datastore.IncompleteKey("Item", nil), &Item{})
			return err
		},
		"no key":           func(tx *datastoresink.Tx) error { _, err := tx.Put(nil, &Item{}); return err },
		"no key to get":    func(tx *datastoresink.Tx) error { return tx.Get(nil, &Item{}) },
		"no key to delete": func(tx *datastoresink.Tx) error { return tx.Delete(nil) },
		"a long name": func(tx *datastoresink.Tx) error {
			return tx.Delete(datastore.NameKey("Item", strings.Repeat("x", 1501), nil))
		},
		"a long string":  func(tx *datastoresink.Tx) error { return list(tx, good, "s", strings.Repeat("x", 1501)) },
		"long bytes":     func(tx *datastoresink.Tx) error { return list(tx, good, "s", make([]byte, 1501)) },
		"a long element": func(tx *datastoresink.Tx) error { return list(tx, good, "s", []any{"a", strings.Repeat("x", 1501)}) },
		"no UTF-8":       func(tx *datastoresink.Tx) error { return list(tx, good, "s", "a\xff") },
		"a far time": func(tx *datastoresink.Tx) error {
			return list(tx, good, "s", time.Date(400_000, 1, 1, 0, 0, 0, 0, time.UTC))
		},
		"no property name":  func(tx *datastoresink.Tx) error { return list(tx, good, "", 1) },
		"a strange type":    func(tx *datastoresink.Tx) error { return list(tx, good, "s", struct{ X chan int }{}) },
		"a struct, no more": func(tx *datastoresink.Tx) error { _, err := tx.Put(good, Item{}); return err },
		"a large entity": func(tx *datastoresink.Tx) error {
			_, err := tx.Put(good, &datastore.PropertyList{{Name: "s", Value: strings.Repeat("x", 1<<20), NoIndex: true}})
			return err
		},
	} {
		err := s.Reset(t.Context(), projection.Reset{Name: what, Version: 1, Shards: 1}, func(tx *datastoresink.Tx) error {
			if err := put(tx); err == nil {
				t.Errorf("%s is taken", what)
			}
			return list(tx, good, "s", deep)
		})
		if err != nil {
			t.Errorf("after %s: %v", what, err)
		}
	}
}

func list(tx *datastoresink.Tx, key *datastore.Key, name string, value any) error {
	_, err := tx.Put(key, &datastore.PropertyList{{Name: name, Value: value}})
	return err
}

// A batch that can be smaller is refused when it is too large, whatever the handler makes
// of that; a single commit may have more entities.
func TestFull(t *testing.T) {
	t.Parallel()
	s := datastoresink.New(fake(t, dsfake.Optimistic).client(t), nil)
	reset(t, s, 0, 1, 1, nothing)
	many := func(n, size int) func(tx *datastoresink.Tx) error {
		return func(tx *datastoresink.Tx) error {
			for i := range n {
				key := datastore.NameKey("Item", fmt.Sprint(i), nil)
				_, _ = tx.Put(key, &datastore.PropertyList{{Name: "s", Value: strings.Repeat("x", size), NoIndex: true}})
			}
			return nil
		}
	}
	for _, x := range []struct {
		to, n, size int
		full        bool
	}{{2, 451, 1, true}, {2, 4, 900_000, false}, {2, 5, 900_000, true}, {1, 5, 900_000, true}, {1, 600, 1, false}} {
		state, err := s.State(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		from := state.Checkpoints[0].Revision
		err = s.Apply(t.Context(), batch(from, from+driver.Revision(x.to)), many(x.n, x.size))
		if errors.Is(err, projection.ErrFull) != x.full || err != nil && !x.full {
			t.Errorf("%d commits, %d entities of %d bytes: %v", x.to, x.n, x.size, err)
		}
	}
}

func TestNamespace(t *testing.T) {
	t.Parallel()
	p := fake(t, dsfake.Optimistic)
	here, there := datastoresink.New(p.client(t), &datastoresink.Options{Namespace: "here"}), datastoresink.New(p.client(t), nil)
	reset(t, there, 0, 1, 1, func(tx *datastoresink.Tx) error { return add(tx, "a", 1) })
	reset(t, here, 0, 1, 1, func(tx *datastoresink.Tx) error {
		parent := datastore.NameKey("Parent", "p", nil)
		key, err := tx.Put(datastore.NameKey("Item", "child", parent), &Item{2})
		if err != nil || key.Namespace != "here" || key.Parent.Namespace != "here" {
			t.Errorf("put as %v, %v", key, err)
		}
		return add(tx, "a", 3)
	})
	reset(t, here, 1, 2, 1, datastoresink.Clear("Item"))
	rows, err := items(t.Context(), there.Client())
	n, err2 := here.Client().GetAll(t.Context(), datastore.NewQuery("Item").Namespace("here").KeysOnly(), nil)
	if err != nil || err2 != nil || len(rows) != 1 || rows["a"] != 1 || len(n) != 0 {
		t.Errorf("rows %v there, %v here: %v, %v", rows, n, err, err2)
	}
}

// What a handler does to what it has read or written changes nothing until it puts it.
func TestRowsAreNotShared(t *testing.T) {
	inModes(t, func(t *testing.T, _ place, s *datastoresink.Sink) {
		type blob struct {
			Data []byte `datastore:",noindex"`
		}
		key := datastore.NameKey("Blob", "a", nil)
		reset(t, s, 0, 1, 1, func(tx *datastoresink.Tx) error {
			wrote, read := blob{[]byte("abc")}, blob{}
			_, err := tx.Put(key, &wrote)
			wrote.Data[0] = 'X'
			err = errors.Join(err, tx.Get(key, &read))
			read.Data[1] = 'X'
			return err
		})
		var got blob
		if err := s.Client().Get(t.Context(), key, &got); err != nil || string(got.Data) != "abc" {
			t.Errorf("stored %q: %v", got.Data, err)
		}
	})
}
