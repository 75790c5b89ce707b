package saga_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

type placed struct{ Order string }
type paid struct {
	Order string
	Cents int
}

func (placed) EventType() string { return "shop.placed" }
func (paid) EventType() string   { return "shop.paid" }

type order struct {
	ID    string
	Cents int
}

// orders wait for their payment, and then note it.
var orders = saga.Saga[order]{Name: "order", Version: 1, Steps: saga.Steps[order]{{
	Name:   "payment",
	Signal: saga.On("paid", func(o *order, p paid) error { o.Cents += p.Cents; return nil }),
}, {
	Name: "ship",
	On:   func(o *order) string { return "shipment/" + o.ID },
	Do: func(tx *eventlog.Tx, o *order) error {
		return tx.Append("shipment/"+o.ID, noted{fmt.Sprint(o.Cents)})
	},
}}}

var shop = saga.Reactions{
	saga.OnEvent(func(tx *eventlog.Tx, _ eventlog.Record, e placed) error {
		return outbox.Enqueue(tx, orders.Begin(e.Order, order{ID: e.Order}))
	}),
	saga.OnEvent(func(tx *eventlog.Tx, r eventlog.Record, e paid) error {
		return outbox.Enqueue(tx, saga.Signal{Saga: orders.Name, ID: e.Order, Name: "paid", Dedup: r.ID.String(), Data: e})
	}),
}

// react brings all events of some streams to the reactions, as often as it is called.
func react(t testing.TB, l *eventlog.Log, rs saga.Reactions, category string) {
	t.Helper()
	for r, err := range l.Read(context.Background(), eventlog.Query{Category: category, Types: rs.Types()}) {
		if err == nil {
			_, err = l.Update(context.Background(), func(tx *eventlog.Tx) error { return rs.React(tx, r) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fill appends what shops and customers do.
func fill(t testing.TB, l *eventlog.Log) {
	t.Helper()
	for n := range 3 {
		for stream, e := range map[string]eventlog.Event{"order": placed{fmt.Sprint(n)}, "payment": paid{fmt.Sprint(n), 10 * n}} {
			if _, err := l.Append(context.Background(), fmt.Sprintf("%s/%d", stream, n), nil, e); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestProcessManager: events start sagas and signal them, in whatever order they are
// read and however often, each once.
func TestProcessManager(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	fill(t, l)
	for _, category := range []string{"payment", "order", "payment", "order", "order"} {
		react(t, l, shop, category)
		drain(t, l, orders.Handlers()...)
	}
	shipped(t, l)
	if err := shop.React(nil, eventlog.Record{Type: "another"}); err != nil {
		t.Error(err)
	}
	bad := eventlog.Record{Type: "shop.paid", Data: []byte("7")}
	if err := shop.React(nil, bad); err == nil || !strings.Contains(err.Error(), "shop.paid") {
		t.Errorf("got %v", err)
	}
	leftovers(t, l)
}

func shipped(t testing.TB, l *eventlog.Log) {
	t.Helper()
	for n := range 3 {
		if st := status(t, l, &orders, fmt.Sprint(n)); st.State != saga.Completed || st.Data.Cents != 10*n {
			t.Errorf("%+v", st)
		}
	}
	if got := notes(t, l, "shipment"); len(got) != 3 {
		t.Errorf("shipped %q", got)
	}
}

// TestReactor: an outbox.Reactor brings the events.
func TestReactor(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	stop := run(t, l, orders.Handlers()...)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&outbox.Reactor{Log: l, Name: "shop", Types: shop.Types(), React: shop.React}).Run(ctx)
	}()
	fill(t, l)
	for n := range 3 {
		for st, err := range orders.Follow(ctx, l, fmt.Sprint(n)) {
			if err != nil {
				t.Fatal(err)
			}
			_ = st
		}
	}
	shipped(t, l)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	stop()
}

// TestBegin: a message starts a saga once; what Start would refuse is a dead letter, or
// is refused when it is enqueued.
func TestBegin(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	in := order{ID: "7"}
	send(t, l, orders.Begin("7", in), orders.Begin("7", in))
	drain(t, l, orders.Handlers()...)
	send(t, l, orders.Begin("7", in))
	drain(t, l, orders.Handlers()...)
	start(t, l, &orders, "7", in)
	leftovers(t, l)
	if h := history(t, l, "order", "7"); len(h) != 1 {
		t.Errorf("history %v", h)
	}
	send(t, l, orders.Begin("7", order{ID: "8"}), outbox.Raw{Type: "$saga/order/begin", Stream: "$saga-order/9", Data: []byte(`{"v":1,"data":{"ID":5}}`)})
	drain(t, l, orders.Handlers()...)
	var dead []string
	for i, err := range outbox.Dead(t.Context(), l) {
		dead = append(dead, i.Err)
		if err != nil {
			t.Error(err)
		}
	}
	if len(dead) != 2 || !strings.Contains(strings.Join(dead, ""), eventlog.ErrIDReused.Error()) || !strings.Contains(strings.Join(dead, ""), "decode") {
		t.Errorf("dead letters: %q", dead)
	}
	for _, step := range []outbox.Step{orders.Begin("", in), orders.Begin("1", order{ID: strings.Repeat("x", saga.MaxData)})} {
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, step) })
		if !errors.Is(err, outbox.ErrStep) {
			t.Errorf("got %v", err)
		}
	}
}

func ExampleReactions() {
	ctx := context.Background()
	log, err := eventlog.Open(ctx, memlog.Open(), nil)
	if err != nil {
		panic(err)
	}
	defer log.Close()
	// An outbox.Reactor brings the events to shop.React, each once.
	for _, e := range []eventlog.Event{placed{"7"}, paid{"7", 995}} {
		if _, err := log.Append(ctx, "order/7", nil, e); err != nil {
			panic(err)
		}
	}
	for r, err := range log.Read(ctx, eventlog.Query{Types: shop.Types()}) {
		if err != nil {
			panic(err)
		}
		if _, err := log.Update(ctx, func(tx *eventlog.Tx) error { return shop.React(tx, r) }); err != nil {
			panic(err)
		}
	}
	if err := (&outbox.Runner{Log: log, Handlers: orders.Handlers()}).Drain(ctx); err != nil {
		panic(err)
	}
	st, err := orders.Status(ctx, log, "7")
	fmt.Println(st.State, st.Data.Cents, err)
	// Output:
	// completed 995 <nil>
}
