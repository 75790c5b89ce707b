package projection_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
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

// Runners on one sink get out of each other's way at once: a checkpoint that
// another one has moved is no failure, and nobody waits after it.
func TestRunnersShareASink(t *testing.T) {
	t.Parallel()
	log := eventlogtest.Open(t, &eventlog.Options{Shards: 1})
	path := filepath.Join(t.TempDir(), "read.db")
	appendTo(t, log, account(0), Opened{"Ada"})
	var runners []*sqlsink.Runner
	for range 3 {
		r := &sqlsink.Runner{Log: log, Sink: openSink(t, path), Projections: []sqlsink.Projection{bank()}, Backoff: time.Hour}
		start(t, r)
		runners = append(runners, r)
	}
	for i := range 100 {
		p := appendTo(t, log, account(0), Posted{int64(i)})
		for _, r := range runners {
			if err := r.WaitFor(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := dump(t, openSink(t, path))
	if want := fmt.Sprintf("account/0 Ada %d \n", 99*100/2); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 101 {
		t.Errorf("read model\n%s", got)
	}
}
