package datastoresink_test

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/datastore"
	pb "cloud.google.com/go/datastore/apiv1/datastorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/internal/dsfake"
	"github.com/rollforward/rollforward/projection"
	"github.com/rollforward/rollforward/projection/datastoresink"
)

type Posted struct{ Cents int }

func (Posted) EventType() string { return "bank.posted" }

// sums adds up what was posted to each account.
func sums(version int) datastoresink.Projection {
	return datastoresink.Projection{Name: "sums", Version: version, Reset: datastoresink.Clear("Item"),
		Handlers: datastoresink.Handlers{projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
			return add(tx, r.Stream, e.Cents)
		})}}
}

func post(t *testing.T, l *eventlog.Log, account, cents int) {
	t.Helper()
	if _, err := l.Append(t.Context(), fmt.Sprintf("account/%d", account), nil, Posted{cents}); err != nil {
		t.Fatal(err)
	}
}

// Two runners, each process with a sink of its own, live and rebuilt with a new version:
// each event takes effect once.
func TestRunners(t *testing.T) {
	onLegs(t, func(t *testing.T, p place) {
		l := eventlogtest.Open(t, &eventlog.Options{Shards: 4})
		want := map[string]int{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		var runners []*datastoresink.Runner
		for range 2 {
			r := &datastoresink.Runner{Log: l, Sink: datastoresink.New(p.client(t), nil), Projections: []datastoresink.Projection{sums(1)}}
			runners = append(runners, r)
			go func() { done <- r.Run(ctx) }()
		}
		for i := range 60 {
			post(t, l, i%7, i)
			want[fmt.Sprintf("account/%d", i%7)] += i
		}
		end, err := l.Position(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runners {
			if err := r.WaitFor(ctx, end); err != nil {
				t.Error(err)
			}
		}
		cancel()
		for range runners {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		rows, err := items(t.Context(), p.client(t))
		if err != nil || !maps.Equal(rows, want) {
			t.Errorf("live: %v, want %v: %v", rows, want, err)
		}
		again := &datastoresink.Runner{Log: l, Sink: datastoresink.New(p.client(t), nil), Projections: []datastoresink.Projection{sums(2)}}
		if err := again.CatchUp(t.Context()); err != nil {
			t.Error(err)
		}
		if err := again.Rebuild(t.Context(), "sums"); err != nil {
			t.Error(err)
		}
		rows, err = items(t.Context(), p.client(t))
		if err != nil || !maps.Equal(rows, want) {
			t.Errorf("rebuilt: %v, want %v: %v", rows, want, err)
		}
	})
}

// More rows than a transaction takes: the runner takes fewer events, and no event is
// called refused for it.
func TestARunnerTakesFewerEvents(t *testing.T) {
	t.Parallel()
	p := fake(t, dsfake.Optimistic)
	l := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
	const accounts = 5000
	var events []eventlog.Event
	for i := range accounts {
		events = append(events, Posted{i})
		if len(events) == 10 {
			if _, err := l.Append(t.Context(), fmt.Sprintf("account/%d", i/10), nil, events...); err != nil {
				t.Fatal(err)
			}
			events = nil
		}
	}
	each := datastoresink.Projection{Name: "each", Version: 1, Reset: datastoresink.Clear("Item"),
		Handlers: datastoresink.Handlers{projection.On(func(tx *datastoresink.Tx, r eventlog.Record, e Posted) error {
			_, err := tx.Put(datastore.NameKey("Item", fmt.Sprint(e.Cents), nil), &Item{e.Cents})
			return err
		})}}
	r := &datastoresink.Runner{Log: l, Sink: datastoresink.New(p.client(t), nil), Projections: []datastoresink.Projection{each}, Attempts: 1, Backoff: time.Hour}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows, err := items(t.Context(), p.client(t)); err != nil || len(rows) != accounts {
		t.Errorf("%d rows, want %d: %v", len(rows), accounts, err)
	}
	if n := p.fake.Counts().Calls["Rollback"]; n > 8 { // each is a batch that was too large, or a State
		t.Errorf("%d transactions in vain", n)
	}
}

// A store that fails under a handler, more often than an event may be refused, stops
// nothing.
func TestAnOutageStopsNoProjection(t *testing.T) {
	t.Parallel()
	p := fake(t, dsfake.Optimistic)
	l := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
	post(t, l, 1, 5)
	s := datastoresink.New(p.client(t), nil)
	r := &datastoresink.Runner{Log: l, Sink: s, Projections: []datastoresink.Projection{sums(1)}, Attempts: 2, Backoff: time.Microsecond}
	var failures atomic.Int64
	p.fake.SetFaults(dsfake.Faults{Before: func(_ context.Context, c dsfake.Call) error {
		if l, ok := c.Request.(*pb.LookupRequest); ok && l.Keys[0].Path[0].Kind == "Item" && failures.Add(1) < 10 { // a handler's
			return status.Error(codes.PermissionDenied, "injected")
		}
		return nil
	}})
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows, err := items(t.Context(), s.Client()); err != nil || rows["account/1"] != 5 {
		t.Errorf("rows %v: %v", rows, err)
	}
}
