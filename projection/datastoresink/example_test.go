package datastoresink_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// Booked is an event.
type Booked struct {
	Date   string
	Amount int64
}

func (Booked) EventType() string { return "booked" }

// A Day is a row: an entity with native properties.
type Day struct {
	Cents int64
	Note  string `datastore:",noindex"`
}

// days sums up what was booked on a day.
var days = datastoresink.Projection{
	Name: "days", Version: 1,
	Reset: datastoresink.Empty,
	Handlers: datastoresink.Handlers{
		projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Booked) error {
			key, day := datastore.NameKey("Day", e.Date, nil), Day{}
			if err := tx.Get(key, &day); err != nil && !errors.Is(err, datastore.ErrNoSuchEntity) {
				return err
			}
			day.Cents += e.Amount
			return tx.Put(key, &day)
		}),
	},
}

// open returns what the examples work with: a client of an in-process Datastore (yours
// comes from datastore.NewClient) and a log.
func open(ctx context.Context) (client *datastore.Client, events *eventlog.Log, closing func()) {
	server := dsfake.New(nil)
	client, err := server.Client(ctx, "example", "")
	if err != nil {
		log.Fatal(err)
	}
	if events, err = eventlog.Open(ctx, memlog.Open(), nil); err != nil {
		log.Fatal(err)
	}
	return client, events, func() {
		if err := errors.Join(events.Close(), client.Close(), server.Close()); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleSink() {
	ctx := context.Background()
	client, events, closing := open(ctx)
	defer closing()
	if _, err := events.Append(ctx, "account/ada", nil, Booked{"2026-11-22", 300_000}, Booked{"2026-11-23", -90_000}, Booked{"2026-11-23", -10_000}); err != nil {
		log.Fatal(err)
	}
	sink, err := datastoresink.New(client, &datastoresink.Options{Namespace: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	runner := &datastoresink.Runner{Log: events, Sink: sink, Projections: []datastoresink.Projection{days}}
	if err := runner.CatchUp(ctx); err != nil {
		log.Fatal(err)
	}

	namespace, err := sink.Namespace(ctx, "days")
	if err != nil {
		log.Fatal(err)
	}
	var list []Day
	keys, err := client.GetAll(ctx, datastore.NewQuery("Day").Namespace(namespace).FilterField("Cents", "<", 0), &list)
	if err != nil {
		log.Fatal(err)
	}
	for i, key := range keys {
		fmt.Println(key.Name, list[i].Cents)
	}
	// Output:
	// 2026-11-23 -100000
}

func ExampleSink_Clear() {
	ctx := context.Background()
	client, events, closing := open(ctx)
	defer closing()
	if _, err := events.Append(ctx, "account/ada", nil, Booked{"2026-11-22", 300_000}, Booked{"2026-11-23", -90_000}); err != nil {
		log.Fatal(err)
	}
	sink, err := datastoresink.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	runner := &datastoresink.Runner{Log: events, Sink: sink, Projections: []datastoresink.Projection{days}}
	for range 2 {
		if err := runner.Rebuild(ctx, "days"); err != nil {
			log.Fatal(err)
		}
	}
	rows, err := sink.Clear(ctx)
	fmt.Println("rows of the first build:", rows, err)
	// Output:
	// rows of the first build: 2 <nil>
}

func ExampleTx() {
	ctx := context.Background()
	client, events, closing := open(ctx)
	defer closing()
	sink, err := datastoresink.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = sink.Reset(ctx, projection.Reset{Name: "days", Version: 1, Shards: events.Shards()}, func(tx *datastoresink.Tx) error {
		first, second := datastore.NameKey("Day", "2026-11-22", nil), datastore.NameKey("Day", "2026-11-23", nil)
		if err := tx.PutMulti([]*datastore.Key{first, second}, []Day{{1, "a"}, {2, "b"}}); err != nil {
			return err
		}
		if err := tx.Delete(first); err != nil {
			return err
		}
		var day Day // it sees its own writes
		fmt.Println(tx.Get(second, &day), day.Cents, day.Note)
		fmt.Println(tx.Get(first, &day))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// <nil> 2 b
	// datastore: no such entity
}

func ExampleKey() {
	ctx := context.Background()
	client, events, closing := open(ctx)
	defer closing()
	if _, err := events.Append(ctx, "account/ada", nil, Booked{"2026-11-22", 300_000}); err != nil {
		log.Fatal(err)
	}
	sink, err := datastoresink.New(client, nil)
	if err != nil {
		log.Fatal(err)
	}
	runner := &datastoresink.Runner{Log: events, Sink: sink, Projections: []datastoresink.Projection{days}}
	if err := runner.CatchUp(ctx); err != nil {
		log.Fatal(err)
	}
	namespace, err := sink.Namespace(ctx, "days")
	if err != nil {
		log.Fatal(err)
	}
	var day Day
	err = client.Get(ctx, datastoresink.Key(namespace, datastore.NameKey("Day", "2026-11-22", nil)), &day)
	fmt.Println(day.Cents, err)
	// Output:
	// 300000 <nil>
}
