package datastoresink_test

import (
	"context"
	"fmt"
	"log"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

// Balance is a row: an entity of kind Balance, its property Cents indexed.
type Balance struct{ Cents int }

func ExampleSink() {
	ctx := context.Background()
	server := dsfake.New(nil) // stands for Google's
	defer server.Close()
	client, err := server.Client(ctx, "project", "")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	events, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer events.Close()
	for account, cents := range map[string]int{"account/ada": 300, "account/bob": 100} {
		if _, err := events.Append(ctx, account, nil, Posted{cents}, Posted{-20}); err != nil {
			log.Fatal(err)
		}
	}
	runner := &datastoresink.Runner{Log: events, Sink: datastoresink.New(client, nil), Projections: []datastoresink.Projection{{
		Name: "balances", Version: 1,
		Reset: datastoresink.Clear("Balance"),
		Handlers: datastoresink.Handlers{
			projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
				key, b := datastore.NameKey("Balance", r.Stream, nil), Balance{}
				if err := tx.Get(key, &b); err != nil && err != datastore.ErrNoSuchEntity {
					return err
				}
				b.Cents += e.Cents
				_, err := tx.Put(key, &b)
				return err
			}),
		},
	}}}
	if err := runner.CatchUp(ctx); err != nil {
		log.Fatal(err)
	}
	var rich []Balance
	keys, err := client.GetAll(ctx, datastore.NewQuery("Balance").FilterField("Cents", ">", 0).Order("-Cents"), &rich)
	if err != nil {
		log.Fatal(err)
	}
	for i, key := range keys {
		fmt.Println(key.Name, rich[i].Cents)
	}
	// Output:
	// account/ada 280
	// account/bob 80
}

// A handler's transaction reads what it has written, and entities of others too.
func ExampleTx() {
	ctx := context.Background()
	server := dsfake.New(nil)
	defer server.Close()
	client, err := server.Client(ctx, "project", "")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sink := datastoresink.New(client, &datastoresink.Options{Namespace: "tenant-1"})
	first := projection.Reset{Name: "example", Version: 1, Shards: 1}
	err = sink.Reset(ctx, first, func(tx *datastoresink.Tx) error {
		key, err := tx.Put(datastore.NameKey("Balance", "ada", nil), &Balance{5})
		if err != nil {
			return err
		}
		var b Balance
		if err := tx.Get(key, &b); err != nil {
			return err
		}
		fmt.Println(key.Namespace, key.Name, b.Cents)
		fmt.Println(tx.Get(datastore.NameKey("Balance", "bob", nil), &b))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// tenant-1 ada 5
	// datastore: no such entity
}
