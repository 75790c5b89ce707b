package projection_test

import (
	"context"
	"testing"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// start runs a runner until the test ends or stop is called, which returns what
// Run returned.
func start(t testing.TB, r *sqlsink.Runner) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if !stopped {
			if err := stop(); err != nil {
				t.Errorf("run: %v", err)
			}
		}
	})
	return stop
}

func TestFollows(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, "account/ada", Opened{"Ada"}, Posted{5})
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}}
	start(t, r)
	p := appendTo(t, log, "account/ada", Posted{7})
	if err := r.WaitFor(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	want := "account/ada Ada 12 \naccount/ada 2 5 5\naccount/ada 3 7 12\n"
	if got := dump(t, sink); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
