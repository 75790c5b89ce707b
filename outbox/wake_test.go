package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// TestCrashBeforeTheNotification: a process that dies right after its commit, or
// closes its log, leaves the step to whoever comes next.
func TestCrashBeforeTheNotification(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	first, err := eventlog.Open(t.Context(), store.Open(), nil)
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, first, Relay{[]string{"a/1", "b/1"}, 5})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, store)
	drain(t, runner(second, relaying))
	if got := added(t, second, "b/1"); !slices.Equal(got, []int{5}) {
		t.Errorf("b/1: %v", got)
	}
}

// TestEveryNotificationDropped: the sweep finds what another process committed.
func TestEveryNotificationDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		here := open(t, store)
		mute := func(drivertest.Call) drivertest.Fault { return drivertest.Fault{Kind: drivertest.Hide} }
		there, err := eventlog.Open(t.Context(), drivertest.NewFaulty(store.Open(), mute), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = there.Close() })
		r := runner(there, relaying)
		r.Wake = deaf{}
		start(t, r)
		for i := range 20 {
			enqueue(t, here, Relay{[]string{"a/1", fmt.Sprintf("b/%d", i)}, i})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := range 20 {
			if got := added(t, here, fmt.Sprintf("b/%d", i)); !slices.Equal(got, []int{i}) {
				t.Errorf("b/%d: %v", i, got)
			}
		}
	})
}

// TestTheStoreTells: where the store tells of other processes' commits a runner
// needs no notifications.
func TestTheStoreTells(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memlog.NewStore()
		here, there := open(t, store), open(t, store)
		r := runner(there, relaying)
		r.Sweep = time.Hour
		start(t, r)
		synctest.Wait()
		enqueue(t, here, Relay{[]string{"a/1", "b/1"}, 3})
		synctest.Wait()
		if got := added(t, here, "b/1"); !slices.Equal(got, []int{3}) {
			t.Errorf("b/1: %v", got)
		}
	})
}

// deaf is a subscriber whose subscriptions fail, or end at once, or bring
// nothing.
type deaf struct{}

func (deaf) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	c := make(chan *message.Message)
	switch time.Now().UnixNano() % 3 {
	case 0:
		return nil, errors.New("no broker")
	case 1:
		close(c)
	default:
		context.AfterFunc(ctx, func() { close(c) })
	}
	return c, nil
}

func (deaf) Close() error { return nil }

// TestNotifications: messages wake a runner in another process at once.
func TestNotifications(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(*testing.T, *outbox.Runner){
		"by itself": func(t *testing.T, r *outbox.Runner) { start(t, r) },
		"in a router": func(t *testing.T, r *outbox.Runner) {
			router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
			if err != nil {
				t.Fatal(err)
			}
			r.AddTo(router, "", r.Wake)
			r.Wake = nil
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- router.Run(ctx) }()
			<-router.Running()
			t.Cleanup(func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := memlog.NewStore()
				here, there := open(t, store), open(t, store)
				broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
				t.Cleanup(func() { broker.Close() })
				r := runner(there, relaying)
				r.Wake, r.Sweep = broker, time.Hour
				connect(t, r)
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- (&outbox.Notifier{Log: here, Publisher: broker}).Run(ctx) }()
				synctest.Wait()
				enqueue(t, here, Relay{[]string{"a/1", "b/1"}, 3})
				eventually(t, here, "b/1", 3)
				if err := broker.Publish(outbox.DefaultTopic, message.NewMessage("1", []byte("not a bell"))); err != nil {
					t.Error(err) // it is taken for any shard, and nothing breaks
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
