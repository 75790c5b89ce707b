package datastorelog_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"cloud.google.com/go/datastore"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/datastorelog"
	"github.com/rollforward/rollforward/internal/dsfake"
)

type deposited struct{ Amount int64 }

func (deposited) EventType() string { return "bank.deposited" }

// open opens a log on a server that stands for the service.
func open(server *dsfake.Server, o *datastorelog.Options) *eventlog.Log {
	ctx := context.Background()
	if o == nil {
		o = new(datastorelog.Options)
	}
	o.ClientOptions = server.ClientOptions()
	store, err := datastorelog.Open(ctx, "my-project", o)
	if err != nil {
		log.Fatal(err)
	}
	l, err := eventlog.Open(ctx, store, nil)
	if err != nil {
		log.Fatal(err)
	}
	return l
}

// Tenants have logs of their own in one database.
func Example() {
	ctx := context.Background()
	server := dsfake.New(nil)
	defer server.Close()
	for _, tenant := range []string{"acme", "initech"} {
		l := open(server, &datastorelog.Options{Namespace: tenant})
		p, err := l.Append(ctx, "account/ada", nil, deposited{100})
		fmt.Println(tenant, p.IsZero(), err)
		l.Close()
	}
	// Output:
	// acme false <nil>
	// initech false <nil>
}

type balance struct{ Amount int64 }

// An entity of your own changes together with the events, and is still what it was
// when it was read.
func ExampleUpdate() {
	ctx := context.Background()
	server := dsfake.New(nil)
	defer server.Close()
	l := open(server, nil)
	defer l.Close()
	key := datastore.NameKey("Balance", "ada", nil)
	for range 2 {
		_, err := datastorelog.Update(ctx, l, func(tx *eventlog.Tx, dtx *datastore.Transaction) error {
			var b balance
			if err := dtx.Get(key, &b); err != nil && !errors.Is(err, datastore.ErrNoSuchEntity) {
				return err
			}
			b.Amount += 100
			if _, err := dtx.Put(key, &b); err != nil {
				return err
			}
			return tx.Append("account/ada", deposited{100})
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	var b balance
	err := l.Driver().(*datastorelog.Log).Client().Get(ctx, key, &b)
	fmt.Println(b.Amount, err)
	// Output: 200 <nil>
}

// A blind change of an entity needs no transaction of the service.
func ExampleMutate() {
	ctx := context.Background()
	server := dsfake.New(nil)
	defer server.Close()
	l := open(server, nil)
	defer l.Close()
	key := datastore.NameKey("Balance", "ada", nil)
	_, err := l.Update(ctx, func(tx *eventlog.Tx) error {
		if err := datastorelog.Mutate(tx, datastore.NewInsert(key, &balance{100})); err != nil {
			return err
		}
		return tx.Append("account/ada", deposited{100})
	})
	fmt.Println(err)
	// Output: <nil>
}

// Hooks count what the service charges for.
func ExampleHooks() {
	server := dsfake.New(nil)
	defer server.Close()
	var total datastorelog.Usage
	l := open(server, &datastorelog.Options{Hooks: datastorelog.Hooks{Call: func(c datastorelog.CallInfo) {
		if c.Method == "Commit" {
			total = total.Add(c.Usage)
		}
	}}})
	defer l.Close()
	total = datastorelog.Usage{} // what it took to make a log
	if _, err := l.Append(context.Background(), "account/ada", nil, deposited{100}, deposited{50}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(total.Writes, "entity with", total.IndexEntries, "index entries")
	// Output: 1 entity with 4 index entries
}

func ExampleParseURL() {
	project, o, err := datastorelog.ParseURL("datastore://my-project/events?namespace=acme", nil)
	fmt.Println(project, o.Database, o.Namespace, err)
	// Output: my-project events acme <nil>
}

// A log that a newer program made is not touched.
func ExampleFormatError() {
	var err error = &datastorelog.FormatError{Found: 2, Known: 1}
	fmt.Println(err)
	// Output: the log has format 2, this program knows formats up to 1
}

// A load test of a new log may ask for full speed.
func ExampleRampUp() {
	o := datastorelog.Options{RampUp: datastorelog.RampUpOff}
	fmt.Println(o.RampUp == datastorelog.RampUpAuto)
	// Output: false
}
