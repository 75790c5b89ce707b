package projection_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// A routed is a router that runs.
type routed struct {
	*message.Router
	logged *watermill.CaptureLoggerAdapter
	ended  chan error
}

// route runs a router whose handlers add adds.
func route(t *testing.T, add func(router *message.Router)) *routed {
	t.Helper()
	r := &routed{logged: watermill.NewCaptureLogger(), ended: make(chan error, 1)}
	r.Router = message.NewDefaultRouter(r.logged)
	add(r.Router)
	go func() { r.ended <- r.Run(context.Background()) }()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// A router runs a runner: its middleware sees the doorbells, and nobody else
// calls Run. Several runners, also of the same projection, join one router.
func TestRouterRunsRunners(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		writer, reader := twoProcesses(t, time.Hour)
		bells := gochannel.NewGoChannel(gochannel.Config{}, nil)
		var seen atomic.Int32
		runners := make([]*sqlsink.Runner, 2)
		router := route(t, func(router *message.Router) {
			router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
				return func(m *message.Message) ([]*message.Message, error) {
					seen.Add(1)
					return next(m)
				}
			})
			for i := range runners {
				runners[i] = &sqlsink.Runner{Log: reader, Sink: newSink(t), Projections: []sqlsink.Projection{bank()}}
				runners[i].AddTo(router, "bells", bells)
			}
		})
		synctest.Wait()
		begin := time.Now()
		ringFor(t, bells, writer, runners[0])
		p, err := writer.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := runners[1].WaitFor(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		synctest.Wait()
		if n := seen.Load(); n != 2*3 {
			t.Errorf("middleware saw %d messages, want 6", n)
		}
		for _, r := range runners {
			if h := r.Health(); len(h) > 0 {
				t.Errorf("health: %v", h)
			}
		}
		if err := router.Close(); err != nil { // closes the subscriber too
			t.Error(err)
		}
		for _, r := range runners {
			if h := r.Health(); len(h) != 1 || h[0].Error() != "bank does not run" {
				t.Errorf("health of a closed router: %v", h)
			}
		}
	})
}

// The router's Close waits for the transaction in hand.
func TestRouterFinishesTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, sink := eventlogtest.New(t), newSink(t)
		p := appendTo(t, log, account(0), Posted{1}, Posted{2})
		entered := make(chan struct{}, 2)
		r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{picky("p", func(eventlog.Record, Posted) error {
			entered <- struct{}{}
			time.Sleep(time.Second) // of the bubble
			return nil
		})}}
		router := route(t, func(router *message.Router) { r.AddTo(router, "", nil) })
		<-entered
		if err := router.Close(); err != nil {
			t.Error(err)
		}
		if got := amounts(t, sink, "p"); got != "1 2" {
			t.Errorf("rows %q, want 1 2", got)
		}
		if state, err := sink.State(t.Context(), "p"); err != nil || !state.Position().Covers(p) {
			t.Errorf("checkpoint %v, want %v: %v", state.Position(), p, err)
		}
	})
}

// A runner that has stopped ends its handler, and it can be seen why.
func TestRouterSaysWhyARunnerEnded(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Posted{1})
	r := &sqlsink.Runner{Log: log, Sink: sink, Attempts: 1,
		Projections: []sqlsink.Projection{picky("p", func(eventlog.Record, Posted) error { return errPicky })}}
	router := route(t, func(router *message.Router) { r.AddTo(router, "", nil) })
	if err := <-router.ended; err != nil {
		t.Errorf("the router said %v", err)
	}
	list, err := r.Status(t.Context())
	if err != nil || list[0].Healthy() || !strings.HasSuffix(list[0].Err.Error(), errPicky.Error()) {
		t.Errorf("status %+v, %v", list, err)
	}
	told := router.logged.Captured()[watermill.ErrorLogLevel]
	if len(told) == 0 || !errors.Is(told[0].Err, errPicky) || told[0].Fields["handler_name"] != "projection.p" {
		t.Errorf("the router's logger was told %+v", told)
	}
}

// What Run refuses, a router refuses when it starts.
func TestRouterRefuses(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	bells := gochannel.NewGoChannel(gochannel.Config{}, nil)
	for says, r := range map[string]*sqlsink.Runner{
		"a runner without a Log": {Sink: sink, Projections: []sqlsink.Projection{bank()}},
		"leave Wake nil":         {Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}, Wake: bells},
	} {
		// not closed: Watermill waits for handlers that never began
		router := message.NewDefaultRouter(nil)
		r.AddTo(router, "", bells)
		if err := router.Run(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: the router said %v", says, err)
		}
	}
}

func ExampleRunner_AddTo() {
	ctx := context.Background()
	events, sink, leave := place(ctx)
	defer leave()
	router := message.NewDefaultRouter(nil)
	router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) { return next(m) } // logs, metrics, traces
	})
	bells := gochannel.NewGoChannel(gochannel.Config{}, nil) // any Watermill subscriber

	runner := &sqlsink.Runner{Log: events, Sink: sink, Projections: []sqlsink.Projection{balances}}
	runner.AddTo(router, "eventlog.commits", bells)
	done := make(chan error)
	go func() { done <- router.Run(ctx) }() // runs the runner

	position, err := events.Append(ctx, "account/ada", nil, Deposited{500})
	if err == nil {
		err = runner.WaitFor(ctx, position)
	}
	fmt.Println("applied:", err)
	fmt.Println("close:", router.Close()) // waits for the transactions in hand
	fmt.Println("run:", <-done)
	// Output:
	// applied: <nil>
	// close: <nil>
	// run: <nil>
}
