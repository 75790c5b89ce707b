package outbox_test

import (
	"context"
	"errors"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/outbox"
)

// The steps of these tests: add a number to a counter.

type Added struct {
	N int
}

func (Added) EventType() string { return "test.added" }

type Add struct {
	To string
	N  int
}

func (Add) StepType() string { return "test.add" }
func (a Add) Target() string { return a.To }

// adding does Add.
var adding = outbox.On(func(tx *eventlog.Tx, a Add) error { return tx.Append(a.To, Added{a.N}) }, nil)

// Relay adds a number and sends the rest of its way on.
type Relay struct {
	Way []string
	N   int
}

func (Relay) StepType() string { return "test.relay" }
func (r Relay) Target() string { return r.Way[0] }

var relaying = outbox.On(func(tx *eventlog.Tx, r Relay) error {
	if err := tx.Append(r.Way[0], Added{r.N}); err != nil {
		return err
	}
	if len(r.Way) == 1 {
		return nil
	}
	return outbox.Enqueue(tx, Relay{r.Way[1:], r.N})
}, nil)

// Fail never succeeds.
type Fail struct{ To string }

func (Fail) StepType() string { return "test.fail" }
func (f Fail) Target() string { return f.To }

var errFail = errors.New("out of order")

// failing does Fail.
func failing(p *outbox.Policy) outbox.Handler {
	return outbox.On(func(tx *eventlog.Tx, f Fail) error {
		if err := tx.Append(f.To, Added{1 << 20}); err != nil { // to be rolled back
			return err
		}
		return errFail
	}, p)
}

func enqueue(t testing.TB, l *eventlog.Log, steps ...outbox.Step) eventlog.Position {
	t.Helper()
	p, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
		for _, s := range steps {
			if err := outbox.Enqueue(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func runner(l *eventlog.Log, handlers ...outbox.Handler) *outbox.Runner {
	return &outbox.Runner{Log: l, Handlers: handlers}
}

func drain(t testing.TB, r *outbox.Runner) {
	t.Helper()
	if err := r.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// added returns the numbers that were added to a stream.
func added(t testing.TB, l *eventlog.Log, stream string) (list []int) {
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

func pending(t testing.TB, l *eventlog.Log) (list []outbox.Info) {
	t.Helper()
	for i, err := range outbox.Pending(context.Background(), l) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, i)
	}
	return list
}

func dead(t testing.TB, l *eventlog.Log) (list []outbox.Info) {
	t.Helper()
	for i, err := range outbox.Dead(context.Background(), l) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, i)
	}
	return list
}

// start runs a runner until the test ends or stop is called, which waits for it.
func start(t testing.TB, r *outbox.Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}
