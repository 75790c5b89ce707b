package gcppubsub_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	_ "modernc.org/sqlite" // the driver of OpenSQLite

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/outbox/gcppubsub"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

type Added struct{ N int }

func (Added) EventType() string { return "test.added" }

// Add adds a number to a stream.
type Add struct {
	To string
	N  int
}

func (Add) StepType() string { return "test.add" }
func (a Add) Target() string { return a.To }

var adding = outbox.On(func(tx *eventlog.Tx, a Add) error { return tx.Append(a.To, Added{a.N}) }, nil)

// process opens a store as a process of its own: it hears nothing of the others'
// commits but by its polling.
func process(t *testing.T, store *memlog.Store, poll time.Duration) *eventlog.Log {
	t.Helper()
	d := drivertest.NewFaulty(store.Open(), func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Hide} })
	l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Poll: poll, Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(eventlog.Check(context.Background(), l), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// run runs something until the test ends or stop is called.
func run(t *testing.T, work func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// A listening subscriber tells when it has subscribed: bells before that are for
// nobody.
type listening struct {
	message.Subscriber
	subscribed chan struct{}
}

func (l listening) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := l.Subscriber.Subscribe(ctx, topic)
	if err == nil {
		l.subscribed <- struct{}{}
	}
	return in, err
}

// numbers is a read model of what was added.
func numbers(t *testing.T, l *eventlog.Log) (*sqlsink.Runner, *sql.DB) {
	t.Helper()
	sink, err := sqlsink.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "model.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	})
	p := sqlsink.Projection{Name: "numbers", Version: 1, Reset: sqlsink.Schema(`drop table if exists number`, `create table number (stream text, n int)`),
		Handlers: sqlsink.Handlers{projection.On(func(tx *sql.Tx, r eventlog.Record, e Added) error {
			_, err := tx.Exec(`insert into number values ($1, $2)`, r.Stream, e.N)
			return err
		})}}
	return &sqlsink.Runner{Log: l, Sink: sink, Projections: []sqlsink.Projection{p}}, sink.DB()
}

func enqueue(t *testing.T, l *eventlog.Log, steps ...outbox.Step) {
	t.Helper()
	if _, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
		for _, s := range steps {
			if err := outbox.Enqueue(tx, s); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// added returns the numbers in a stream.
func added(t *testing.T, l *eventlog.Log, stream string) (list []int) {
	t.Helper()
	for r, err := range l.Read(context.Background(), eventlog.Query{Stream: stream}) {
		var a Added
		if err == nil {
			err = r.Decode(&a)
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, a.N)
	}
	return list
}

// TestDoorbells: a runner of steps and a projection in two other processes are
// woken at once, by one topic and a subscription each. Both would sleep for an
// hour.
func TestDoorbells(t *testing.T) {
	onBoth(t, func(t *testing.T, c gcppubsub.Connection, topic string) {
		store := memlog.NewStore()
		writer, steps, model := process(t, store, time.Hour), process(t, store, time.Hour), process(t, store, time.Hour)
		subscribed := make(chan struct{}, 2)
		hear := func() message.Subscriber {
			return listening{subscriber(t, gcppubsub.SubscriberOptions{Connection: c}), subscribed}
		}
		for _, l := range []*eventlog.Log{writer, steps} {
			run(t, (&outbox.Notifier{Log: l, Publisher: publisher(t, gcppubsub.PublisherOptions{Connection: c}), Topic: topic}).Run)
		}
		run(t, (&outbox.Runner{Log: steps, Handlers: []outbox.Handler{adding}, Sweep: time.Hour, Wake: hear(), Topic: topic}).Run)
		read, db := numbers(t, model)
		read.Wake, read.Topic = hear(), topic
		run(t, read.Run)
		<-subscribed
		<-subscribed
		begin := time.Now()
		for i := range 10 {
			enqueue(t, writer, Add{fmt.Sprintf("a/%d", i), i})
		}
		count(t, db, 10)
		t.Logf("ten steps of another process are done and read after %v", time.Since(begin).Round(time.Millisecond))
		follows(t, steps, writer)
	})
}

// follows holds that who follows the log of a runner hears what its doorbell says.
func follows(t *testing.T, l, writer *eventlog.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := writer.Append(ctx, "talk/1", nil, Added{1}); err != nil {
		t.Fatal(err)
	}
	for r, err := range l.Read(ctx, eventlog.Query{Stream: "talk/1", Follow: true, Limit: 2}) {
		if err == nil && r.Version == 1 {
			_, err = writer.Append(ctx, "talk/1", nil, Added{2})
		}
		if err != nil {
			t.Fatalf("a follower beside the runner: %v", err)
		}
	}
}

// count waits until n rows are in the read model.
func count(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	got := 0
	for begin := time.Now(); got < n; {
		if err := db.QueryRow(`select count(*) from number`).Scan(&got); err != nil && time.Since(begin) > patience { // no table yet
			t.Fatal(err)
		}
		if time.Since(begin) > patience {
			t.Fatalf("%d rows, want %d", got, n)
		}
	}
	if got != n {
		t.Errorf("%d rows, want %d", got, n)
	}
}

// A bad line drops a third of the messages, and doubles another one.
type badLine struct {
	message.Publisher
	mu sync.Mutex
	n  int
}

func (b *badLine) Publish(topic string, messages ...*message.Message) error {
	b.mu.Lock()
	var out []*message.Message
	for _, m := range messages {
		switch b.n++; b.n % 3 {
		case 0:
			out = append(out, m, m.Copy())
		case 1:
			out = append(out, m)
		}
	}
	b.mu.Unlock()
	return b.Publisher.Publish(topic, out...)
}

// TestBadLine: dropped and doubled doorbells cost latency; everything is done
// once.
func TestBadLine(t *testing.T) {
	onBoth(t, func(t *testing.T, c gcppubsub.Connection, topic string) {
		store := memlog.NewStore()
		writer, model := process(t, store, time.Hour), process(t, store, 200*time.Millisecond)
		own := gcppubsub.SubscriberOptions{Connection: c}
		for range 2 {
			l := process(t, store, time.Hour)
			run(t, (&outbox.Notifier{Log: l, Publisher: &badLine{Publisher: publisher(t, gcppubsub.PublisherOptions{Connection: c})}, Topic: topic}).Run)
			run(t, (&outbox.Runner{Log: l, Handlers: []outbox.Handler{adding}, Sweep: 200 * time.Millisecond, Wake: subscriber(t, own), Topic: topic}).Run)
		}
		run(t, (&outbox.Notifier{Log: writer, Publisher: &badLine{Publisher: publisher(t, gcppubsub.PublisherOptions{Connection: c})}, Topic: topic}).Run)
		read, db := numbers(t, model)
		read.Wake, read.Topic = subscriber(t, own), topic
		run(t, read.Run)
		for i := range 200 {
			enqueue(t, writer, Add{fmt.Sprintf("a/%d", i%20), i})
		}
		count(t, db, 200)
		for i := range 20 {
			got := added(t, writer, fmt.Sprintf("a/%d", i))
			slices.Sort(got)
			if want := []int{i, i + 20, i + 40, i + 60, i + 80, i + 100, i + 120, i + 140, i + 160, i + 180}; !slices.Equal(got, want) {
				t.Errorf("a/%d: %v", i, got)
			}
		}
	})
}
