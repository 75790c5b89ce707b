package datastoresink_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/datastore"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/internal/emulator"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// in runs functions in transactions of a new projection, one after another.
func in(t *testing.T, l leg, fns ...func(tx *datastoresink.Tx) error) (*datastore.Client, *datastoresink.Sink) {
	t.Helper()
	ctx := soon(t)
	c := l.client(t, emulator.Project(), nil)
	s := newSink(t, c, nil)
	if err := s.Reset(ctx, projection.Reset{Name: "p", Version: 1, Shards: 1}, datastoresink.Empty); err != nil {
		t.Fatal(err)
	}
	for i, fn := range fns {
		at := func(i int) projection.Checkpoint { return projection.Checkpoint{Revision: driver.Revision(i)} }
		err := s.Apply(ctx, projection.Batch{Name: "p", Version: 1, Moves: []projection.Move{{From: at(i), To: at(i + 1)}}}, fn)
		if err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
	}
	return c, s
}

// TestModel: a transaction does to rows what a map does, within it and behind it.
func TestModel(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		model := make(map[string]int)
		step := func(tx *datastoresink.Tx) error {
			for range 30 {
				name := fmt.Sprint("k", random.IntN(8))
				key := datastore.NameKey("Item", name, nil)
				switch random.IntN(4) {
				case 0:
					model[name] = random.Int()
					if err := tx.Put(key, &Item{model[name]}); err != nil {
						return err
					}
				case 1:
					delete(model, name)
					if err := tx.Delete(key); err != nil {
						return err
					}
				default:
					var got Item
					want, there := model[name]
					switch err := tx.Get(key, &got); {
					case there && (err != nil || got.N != want):
						t.Errorf("%s is %d, want %d; %v", name, got.N, want, err)
					case !there && !errors.Is(err, datastore.ErrNoSuchEntity):
						t.Errorf("%s is there: %v", name, err)
					}
				}
			}
			return nil
		}
		var steps []func(*datastoresink.Tx) error
		for range 12 {
			steps = append(steps, step)
		}
		c, s := in(t, l, steps...)
		wantItems(t, c, s, "p", model)
	})
}

// A Wide is a row with a property of each kind.
type Wide struct {
	Key    *datastore.Key `datastore:"__key__"`
	Text   string
	Bytes  []byte
	Int    int32
	Float  float32
	Bool   bool
	Time   time.Time
	Ref    *datastore.Key
	Place  datastore.GeoPoint
	List   []string
	Inner  Inner
	Inners []Inner
	Maybe  *string
	Gone   string `datastore:",omitempty"`
}

type Inner struct {
	A string
	B []byte
}

// TestProperties: a row reads the same in the transaction that wrote it, in a later one,
// and from outside; a handler's variables are its own.
func TestProperties(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		maybe := "x"
		key := datastore.NameKey("Wide", "w", datastore.IDKey("Above", 7, nil))
		wide := func() Wide {
			return Wide{Key: key, Text: "é", Bytes: []byte{1, 2}, Int: 3, Float: 1.5, Bool: true, Maybe: &maybe,
				Time: time.Date(1903, 2, 3, 4, 5, 6, 123456000, time.UTC), Ref: datastore.NameKey("Other", "o", nil), Place: datastore.GeoPoint{Lat: 1, Lng: 2},
				List: []string{"a", "b"}, Inner: Inner{"a", []byte{9}}, Inners: []Inner{{"b", nil}, {"c", []byte{8}}}}
		}
		same := func(where string, got, want Wide) {
			t.Helper()
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", where, diff)
			}
		}
		get := func(where string) func(tx *datastoresink.Tx) error {
			return func(tx *datastoresink.Tx) error {
				for range 2 {
					var got Wide
					if err := tx.Get(key, &got); err != nil {
						return err
					}
					same(where, got, wide())
					got.Bytes[0], got.Inner.B[0], got.List[0] = 77, 77, "changed"
				}
				return nil
			}
		}
		c, s := in(t, l,
			func(tx *datastoresink.Tx) error {
				w := wide()
				w.Time = w.Time.Add(999) // Datastore does not keep that
				if err := tx.Put(key, &w); err != nil {
					return err
				}
				w.Bytes[0], w.Inner.B[0], w.List[0] = 77, 77, "changed"
				return get("in the transaction that wrote it")(tx)
			},
			get("in a later one"))
		ns, err := s.Namespace(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		var got Wide
		if err := c.Get(t.Context(), datastoresink.Key(ns, key), &got); err != nil {
			t.Fatal(err)
		}
		got.Key = key
		same("from outside", got, wide())
	})
}

// TestMulti: the Multi methods do many at once, and say which row is missing.
func TestMulti(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		var keys []*datastore.Key
		for i := range 1200 { // more than a request looks up
			keys = append(keys, datastore.IDKey("Item", int64(i+1), nil))
		}
		in(t, l,
			func(tx *datastoresink.Tx) error { return tx.PutMulti(keys[1:], make([]Item, len(keys)-1)) },
			func(tx *datastoresink.Tx) error {
				if err := tx.DeleteMulti(keys[1:3]); err != nil {
					return err
				}
				got := make([]*Item, len(keys))
				var each datastore.MultiError
				if err := tx.GetMulti(keys, got); !errors.As(err, &each) {
					return fmt.Errorf("GetMulti: %w", err)
				}
				for i, err := range each {
					if (err == nil) != (i > 2) || (err != nil && err != datastore.ErrNoSuchEntity) {
						t.Errorf("row %d: %v", i, err)
					}
				}
				if err := tx.GetMulti(keys[3:], make([]datastore.PropertyList, len(keys)-3)); err != nil {
					t.Errorf("those that are there: %v", err)
				}
				if err := tx.GetMulti(keys, make([]Item, 1)); err == nil {
					t.Error("a slice that is too short: no error")
				}
				return nil
			})
	})
}

// TestWhatDatastoreWouldRefuse: is refused where the event is known, at Put.
func TestWhatDatastoreWouldRefuse(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		long := strings.Repeat("x", 1501)
		good := datastore.NameKey("K", "k", nil)
		space := datastore.NameKey("K", "k", nil)
		space.Namespace = "n"
		deep := good
		for range 5 {
			deep = datastore.NameKey("K", long[:1400], deep)
		}
		type row = datastore.PropertyList
		value := func(v any) *row { return &row{{Name: "P", Value: v}} }
		in(t, l, func(tx *datastoresink.Tx) error {
			for name, c := range map[string]struct {
				key    *datastore.Key
				src    any
				target error
			}{
				"no key":         {nil, value(1), datastore.ErrInvalidKey},
				"incomplete":     {datastore.IncompleteKey("K", nil), value(1), datastore.ErrInvalidKey},
				"namespace":      {space, value(1), datastore.ErrInvalidKey},
				"reserved":       {datastore.NameKey("K", "__a__", nil), value(1), datastore.ErrInvalidKey},
				"reserved kind":  {datastore.NameKey("__K__", "a", nil), value(1), datastore.ErrInvalidKey},
				"not UTF-8":      {datastore.NameKey("K", "\xff", nil), value(1), datastore.ErrInvalidKey},
				"long name":      {datastore.NameKey("K", long, nil), value(1), datastoresink.ErrTooLarge},
				"long key":       {deep, value(1), datastoresink.ErrTooLarge},
				"indexed string": {good, value(long), datastoresink.ErrTooLarge},
				"indexed bytes":  {good, value([]any{[]byte(long)}), datastoresink.ErrTooLarge},
				"text":           {good, value("\xff"), nil},
				"type":           {good, value(uint64(1)), nil},
				"place":          {good, value(datastore.GeoPoint{Lat: 91}), nil},
				"no struct":      {good, 7, nil},
				"many indexed":   {good, value(make([]any, 20001)), datastoresink.ErrTooLarge},
				"large":          {good, &row{{Name: "P", NoIndex: true, Value: bytes.Repeat([]byte{1}, 1<<20-88)}}, datastoresink.ErrTooLarge},
				"large together": {good, &row{{Name: "P", NoIndex: true, Value: make([]byte, 600<<10)}, {Name: "Q", NoIndex: true, Value: make([]byte, 600<<10)}}, datastoresink.ErrTooLarge},
			} {
				err := tx.Put(c.key, c.src)
				if err == nil || c.target != nil && !errors.Is(err, c.target) {
					t.Errorf("%s: %v, want %v", name, err, c.target)
				}
			}
			// And what it takes.
			return errors.Join(tx.Put(good, &row{{Name: "P", NoIndex: true, Value: make([]byte, 1<<20-2000)}, {Name: "S", Value: long[:1500]}}),
				tx.Put(datastore.NameKey("K", long[:1500], nil), value(nil)))
		})
	})
}

// TestFailedRead: Datastore failing under a handler is not the handler's failure, also
// when the handler makes nothing of it.
func TestFailedRead(t *testing.T) {
	each(t, func(t *testing.T, l leg) {
		for name, careless := range map[string]bool{"told": false, "not told": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				n := &network{}
				n.code = 7 // PermissionDenied: not repeated
				c := l.client(t, emulator.Project(), n.between)
				s := newSink(t, c, nil)
				ctx := soon(t)
				if err := s.Reset(ctx, projection.Reset{Name: "p", Version: 1, Shards: 1}, datastoresink.Empty); err != nil {
					t.Fatal(err)
				}
				mine := errors.New("mine")
				err := s.Apply(ctx, projection.Batch{Name: "p", Version: 1, Moves: []projection.Move{{To: projection.Checkpoint{Revision: 1}}}},
					func(tx *datastoresink.Tx) error {
						n.refuse = 1
						defer func() { n.refuse = 0 }()
						if err := add(tx, "x", 1); err == nil {
							t.Error("it was read")
						}
						if careless {
							return nil
						}
						return mine
					})
				if err == nil || errors.Is(err, mine) || !strings.Contains(err.Error(), "refused Lookup") {
					t.Errorf("error %v", err)
				}
				wantItems(t, c, s, "p", map[string]int{})
			})
		}
	})
}
