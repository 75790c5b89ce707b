package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/driver"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
)

// TestOnlyErrUnknownLeavesADoubt lets every call of the driver fail in turn, in
// every way: no error left everything once, an error that does not wrap
// ErrUnknown left nothing, and repeating the Update ends every doubt.
func TestOnlyErrUnknownLeavesADoubt(t *testing.T) {
	t.Parallel()
	for _, kind := range []drivertest.Kind{drivertest.Fail, drivertest.Lose, drivertest.Drop, drivertest.Late} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			failed := 0
			for n := 1; ; n++ {
				d := newDoubt(t)
				left := n
				d.faults.Inject(func(drivertest.Call) drivertest.Fault {
					if left--; left == 0 {
						return drivertest.Fault{Kind: kind, N: 3}
					}
					return drivertest.Fault{}
				})
				err := d.attempt(t.Context())
				d.faults.Inject(nil)
				d.faults.Deliver(t.Context())
				d.judge(fmt.Sprintf("call %d: %s", n, kind), err)
				if left > 0 {
					break // the Update needs fewer calls
				}
				if err != nil {
					failed++
				}
			}
			if want := kind == drivertest.Fail; failed > 0 != want {
				t.Errorf("%d calls made the Update fail", failed)
			}
		})
	}
}

// TestEndOfContextLeavesADoubt: a caller that does not wait for its answer gets
// ErrUnknown, and what it began may happen or not.
func TestEndOfContextLeavesADoubt(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]drivertest.Fault{
		"it happens":         {},
		"it does not happen": {Kind: drivertest.Fail},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoubt(t)
			gate, ctx := make(chan struct{}), newEnding(t)
			end.Before = gate
			d.faults.Inject(func(c drivertest.Call) drivertest.Fault {
				if c.Method != "Write" {
					return drivertest.Fault{}
				}
				ctx.cancel()
				return end
			})
			err := d.attempt(ctx)
			close(gate)
			is(t, err, eventlog.ErrUnknown)
			is(t, err, context.Canceled)
			d.faults.Inject(nil)
			d.end(name)
		})
	}
}

type ending struct {
	context.Context
	cancel context.CancelFunc
}

func newEnding(t *testing.T) ending {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ending{ctx, cancel}
}

// doubt is a log on which one Update is tried: of two streams in two shards, a
// row, and an idempotency id.
type doubt struct {
	t        *testing.T
	log      *eventlog.Log
	faults   *drivertest.Faulty
	a, b     string
	events   atomic.Int64 // that the Group hook counted
	notified chan driver.Head
}

func newDoubt(t *testing.T) *doubt {
	store := memlog.NewStore()
	before, err := eventlog.Open(t.Context(), store.Open(), &eventlog.Options{Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	d := &doubt{t: t, a: inShard(before, 1, "a"), b: inShard(before, 2, "b"), notified: make(chan driver.Head, 100)}
	add(t, before, d.a, "old")
	is(t, before.Close(), nil)
	// A new Log knows nothing, so it has to ask.
	d.faults = drivertest.NewFaulty(store.Open(), nil)
	d.log = over(t, d.faults, &eventlog.Options{Hooks: eventlog.Hooks{
		Group: func(g eventlog.GroupInfo) { d.events.Add(int64(g.Events)) },
	}})
	d.log.OnCommit(func(h driver.Head) { d.notified <- h })
	return d
}

func (d *doubt) attempt(ctx context.Context) error {
	_, err := d.log.Update(ctx, func(tx *eventlog.Tx) error {
		if done, err := tx.Once(d.a, "id"); done || err != nil {
			return err
		}
		if _, err := diaries.Load(tx, d.a); err != nil {
			return err
		}
		if err := notes.Put(tx, "k", "new"); err != nil {
			return err
		}
		return errors.Join(tx.Append(d.a, entry{"new"}), tx.Append(d.b, entry{"new"}))
	})
	return err
}

// judge holds what is there against the answer.
func (d *doubt) judge(when string, err error) {
	d.t.Helper()
	switch {
	case err == nil:
		d.expect(when, "old new", "new", "new")
		<-d.notified
		<-d.notified // of both shards
		if n := d.events.Load(); n != 2 {
			d.t.Errorf("%s: the Group hook saw %d events, expected 2", when, n)
		}
	case errors.Is(err, eventlog.ErrUnknown):
		d.t.Errorf("%s: %v: nobody gave up, so the outcome is known", when, err)
	default:
		d.expect(when+": "+err.Error(), "old", "", "")
		if d.events.Load() != 0 || len(d.notified) != 0 {
			d.t.Errorf("%s: %v: the hook saw %d events, %d shards were notified", when, err, d.events.Load(), len(d.notified))
		}
	}
	d.end(when)
}

// end repeats the Update until it is known to have happened.
func (d *doubt) end(when string) {
	d.t.Helper()
	is(d.t, d.attempt(d.t.Context()), nil)
	d.expect(when+", repeated", "old new", "new", "new")
}

// expect fails unless the streams and the row hold this.
func (d *doubt) expect(when, a, b, row string) {
	d.t.Helper()
	read := func(stream string) string {
		return texts(d.t, d.log.Read(d.t.Context(), eventlog.Query{Stream: stream}))
	}
	var have string
	err := d.log.View(d.t.Context(), func(tx *eventlog.Tx) (err error) {
		have, _, err = notes.Get(tx, "k")
		return err
	})
	is(d.t, err, nil)
	if gotA, gotB := read(d.a), read(d.b); gotA != a || gotB != b || have != row {
		d.t.Errorf("%s: there are %q, %q and %q, expected %q, %q and %q", when, gotA, gotB, have, a, b, row)
	}
}
