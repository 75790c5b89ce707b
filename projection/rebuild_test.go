package projection_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/projection/sqlsink"
)

// TestRebuiltEqualsLive: what a runner wrote while the log grew, what a rebuild
// writes beside it and after it, what an empty sink gets, and what the log says
// are the same, byte for byte.
func TestRebuiltEqualsLive(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	for i := range accounts {
		appendTo(t, log, account(i), Opened{fmt.Sprint("owner ", i)})
	}
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}, Batch: 50}
	stop := start(t, r)
	writeMuch(t, log)
	end, err := log.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WaitFor(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	want := replay(t, log)
	equal := func(how string, s *sqlsink.Sink) {
		t.Helper()
		if diff := cmp.Diff(want, dump(t, s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", how, diff)
		}
	}
	if n := strings.Count(want, "\n"); n < 1000 {
		t.Errorf("only %d rows", n)
	}
	equal("live", sink)

	if err := r.Rebuild(t.Context(), "bank"); err != nil {
		t.Fatal(err)
	}
	equal("rebuilt beside Run", sink)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Rebuild(t.Context(), "bank"); err != nil {
		t.Fatal(err)
	}
	equal("rebuilt without Run", sink)

	empty := newSink(t)
	if err := (&sqlsink.Runner{Log: log, Sink: empty, Projections: []sqlsink.Projection{bank()}}).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal("an empty sink", empty)
}

// writeMuch appends to all accounts, alone and together, from several
// goroutines.
func writeMuch(t *testing.T, log *eventlog.Log) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 150 {
				_, err := log.Update(t.Context(), func(tx *eventlog.Tx) error {
					for a := range 1 + (w+i)%3 {
						if err := tx.Append(account((w+i*a)%accounts), Posted{int64(i)}); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Whoever reads beside a Rebuild that has not finished sees a beginning of the
// history, and a rebuild that was interrupted is finished by the next run.
func TestRebuildIsResumed(t *testing.T) {
	t.Parallel()
	log, sink := eventlogtest.New(t), newSink(t)
	appendTo(t, log, account(0), Opened{"Ada"})
	for i := range 20 {
		appendTo(t, log, account(0), Posted{int64(i)})
	}
	r := &sqlsink.Runner{Log: log, Sink: sink, Projections: []sqlsink.Projection{bank()}, Batch: 1}
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := dump(t, sink)

	ctx, cancel := withCancel(t)
	applied := 0
	r.Sink = newFaulty(sink, func() fault {
		if applied++; applied == 5 {
			cancel()
		}
		return none
	}, cancel)
	if err := r.Rebuild(ctx, "bank"); err == nil {
		t.Error("an interrupted rebuild says nothing")
	}
	if half := dump(t, sink); half == want || strings.Count(half, "\n") < 5 {
		t.Errorf("the interrupted rebuild has\n%s", half)
	}
	r.Sink = sink
	if err := r.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, dump(t, sink)); diff != "" {
		t.Errorf("resumed (-want +got):\n%s", diff)
	}
}
