package projection_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/doorbell"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// twoProcesses returns two logs over one store. The second hears nothing of the
// first's commits but by its own polling.
func twoProcesses(t *testing.T, poll time.Duration) (writer, reader *eventlog.Log) {
	t.Helper()
	store := memlog.NewStore()
	deaf := drivertest.NewFaulty(store.Open(), func(c drivertest.Call) drivertest.Fault {
		return drivertest.Fault{Kind: drivertest.Hide}
	})
	open := func(d driver.Log) *eventlog.Log {
		l, err := eventlog.Open(t.Context(), d, &eventlog.Options{Poll: poll})
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
	return open(store.Open()), open(deaf)
}

// Everything is applied when every notification is dropped.
func TestNotificationsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		writer, reader := twoProcesses(t, 3*time.Second)
		bells := gochannel.NewGoChannel(gochannel.Config{}, nil)
		defer bells.Close()
		r := &sqlsink.Runner{Log: reader, Sink: newSink(t), Projections: []sqlsink.Projection{bank()}, Wake: bells, Topic: "bells"}
		stop := start(t, r)
		synctest.Wait()
		begin := time.Now()
		if err := r.WaitFor(t.Context(), appendTo(t, writer, account(0), Opened{"Ada"})); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("it took %v, with a poll of 3 s", took)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A doorbell makes the runner look at once. What is no doorbell does no harm.
func TestDoorbell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		writer, reader := twoProcesses(t, time.Hour)
		bells := gochannel.NewGoChannel(gochannel.Config{}, nil)
		defer bells.Close()
		r := &sqlsink.Runner{Log: reader, Sink: newSink(t), Projections: []sqlsink.Projection{bank()}, Wake: bells, Topic: "bells"}
		stop := start(t, r)
		synctest.Wait()
		begin := time.Now()
		ringFor(t, bells, writer, r)
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A notifier of the process that writes rings here when both keep the default
// topic.
func TestNotifierRings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		writer, reader := twoProcesses(t, time.Hour)
		bells := gochannel.NewGoChannel(gochannel.Config{}, nil)
		defer bells.Close()
		ctx, cancel := context.WithCancel(t.Context())
		notified := make(chan error, 1)
		go func() { notified <- (&outbox.Notifier{Log: writer, Publisher: bells}).Run(ctx) }()
		r := &sqlsink.Runner{Log: reader, Sink: newSink(t), Projections: []sqlsink.Projection{bank()}, Wake: bells}
		stop := start(t, r)
		synctest.Wait()
		begin := time.Now()
		if err := r.WaitFor(t.Context(), appendTo(t, writer, account(0), Opened{"Ada"})); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		cancel()
		if err := errors.Join(<-notified, stop()); err != nil {
			t.Error(err)
		}
	})
}

// A message that cannot be read may be about any shard.
func TestNoDoorbellRingsForAnyShard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		writer, reader := twoProcesses(t, time.Hour)
		bells := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, nil)
		defer bells.Close()
		r := &sqlsink.Runner{Log: reader, Sink: newSink(t), Projections: []sqlsink.Projection{bank()}, Wake: bells}
		start(t, r)
		synctest.Wait()
		begin := time.Now()
		var p eventlog.Position
		for i := range accounts {
			p = p.Join(appendTo(t, writer, account(i), Opened{"Ada"}))
		}
		if err := bells.Publish(doorbell.Topic, message.NewMessage("1", []byte("no bell"))); err != nil { // until it is acknowledged
			t.Fatal(err)
		}
		if err := r.WaitFor(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// ringFor writes, rings, and waits for the effect.
func ringFor(t *testing.T, bells message.Publisher, writer *eventlog.Log, r *sqlsink.Runner) {
	t.Helper()
	p := appendTo(t, writer, account(0), Opened{"Ada"})
	shard := writer.ShardOf(account(0))
	err := bells.Publish("bells",
		message.NewMessage("1", []byte("no bell")),
		doorbell.Encode(doorbell.Bell{Shard: 1 << 20, Revision: 1}),
		doorbell.Encode(doorbell.Bell{Shard: shard, Revision: p.Revision(shard)}))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WaitFor(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// moody is a subscriber that fails, then closes its channel, then works.
type moody struct {
	message.Subscriber
	calls int
}

func (m *moody) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	switch m.calls++; m.calls {
	case 1:
		return nil, errFault
	case 2:
		closed := make(chan *message.Message)
		close(closed)
		return closed, nil
	}
	return m.Subscriber.Subscribe(ctx, topic)
}

func TestDoorbellIsHungUpAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		writer, reader := twoProcesses(t, time.Hour)
		bells := gochannel.NewGoChannel(gochannel.Config{}, nil)
		defer bells.Close()
		m := &moody{Subscriber: bells}
		r := &sqlsink.Runner{Log: reader, Sink: newSink(t), Projections: []sqlsink.Projection{bank()}, Wake: m, Topic: "bells"}
		stop := start(t, r)
		time.Sleep(time.Minute) // of the bubble: two pauses
		synctest.Wait()
		begin := time.Now()
		ringFor(t, bells, writer, r)
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
