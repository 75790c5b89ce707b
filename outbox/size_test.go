package outbox_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// largest returns the largest step of a type for a target that is accepted.
func largest(t *testing.T, l *eventlog.Log, typ, to string) named {
	t.Helper()
	try := func(n int) error {
		rolled := errors.New("rolled back")
		_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
			if err := outbox.Enqueue(tx, named{typ, to, strings.Repeat("x", n)}); err != nil {
				return err
			}
			return rolled
		})
		if errors.Is(err, rolled) {
			return nil
		}
		if !errors.Is(err, eventlog.ErrTooLarge) {
			t.Fatal(err)
		}
		return err
	}
	n := 0
	for step := 1 << 20; step > 0; step /= 2 {
		if try(n+step) == nil {
			n += step
		}
	}
	if n < 700_000 {
		t.Errorf("no step of more than %d bytes", n)
	}
	return named{typ, to, strings.Repeat("x", n)}
}

// TestDecisionsOnTheLargest: whatever can be enqueued can be redriven and discarded
// when it is dead, however long the names.
func TestDecisionsOnTheLargest(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	to := "a/" + strings.Repeat("<", 990)
	enqueue(t, l, largest(t, l, "test.large", to))
	broken := new(atomic.Bool)
	broken.Store(true)
	h := outbox.Handler{Type: "test.large", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		if broken.Load() {
			return outbox.Abort(errFail)
		}
		return tx.Append(to, Added{len(s.Data)})
	}}
	drain(t, runner(l, h))
	d := outbox.Decision{By: strings.Repeat("<", eventlog.MaxName), Why: "mended"}
	redrive(t, l, outbox.Filter{}, d, 1)
	drain(t, runner(l, h))
	list := dead(t, l)
	if len(list) != 1 {
		t.Fatalf("%d dead letters", len(list))
	}
	edited := d
	edited.Data = []byte(`"` + strings.Repeat("y", 700_000) + `"`)
	redrive(t, l, outbox.Filter{ID: list[0].ID}, edited, 1)
	drain(t, runner(l, h))
	redrive(t, l, outbox.Filter{}, d, 1) // it carries the payload now
	broken.Store(false)
	drain(t, runner(l, h))
	if got := added(t, l, to); len(got) != 1 || got[0] != 700_002 {
		t.Errorf("%v", got)
	}
	edited.Data = []byte(`"` + strings.Repeat("y", 799_000) + `"`)
	broken.Store(true)
	enqueue(t, l, named{"test.large", "a/2", nil})
	drain(t, runner(l, h))
	id := outbox.Filter{ID: dead(t, l)[0].ID}
	if _, err := outbox.Redrive(t.Context(), l, id, edited); !errors.Is(err, eventlog.ErrTooLarge) {
		t.Errorf("a payload that leaves no room: %v", err)
	}
	if n, err := outbox.Discard(t.Context(), l, id, d); n != 1 || err != nil {
		t.Errorf("%d discarded: %v", n, err)
	}
	d.By += "x"
	if _, err := outbox.Redrive(t.Context(), l, id, d); !errors.Is(err, outbox.ErrDecision) {
		t.Errorf("a name that is too long: %v", err)
	}
}

// TestManyUnknownTypes: however many types nobody knows, whoever takes a shard over
// is soon at work; and what many stopped targets cost is a reading each.
func TestManyUnknownTypes(t *testing.T) {
	t.Parallel()
	for name, stops := range map[string]bool{"types": false, "stops": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { startWithMany(t, stops) })
		})
	}
}

func startWithMany(t *testing.T, stops bool) {
	faulty := drivertest.NewFaulty(memlog.Open(), nil)
	l := over(t, faulty, single)
	ordered := failing(&outbox.Policy{Ordered: true, Attempts: 1})
	stop := start(t, calm(l, ordered))
	const n = 1000
	for i := range n {
		if stops {
			enqueue(t, l, Fail{fmt.Sprintf("b/%d", i)})
		} else {
			enqueue(t, l, named{fmt.Sprintf("test.z%04d", i), "a/1", nil})
		}
	}
	sleep(10 * time.Minute)
	stop()
	before := faulty.Calls("Cells")
	start(t, calm(l, ordered, outbox.Handler{Type: "test.z0500", Do: func(tx *eventlog.Tx, s outbox.Raw) error {
		return tx.Append(s.Stream, Added{1})
	}}))
	sleep(time.Second)
	most, effects := 30, 1
	if stops {
		most, effects = 30+n+n/256, 0
	}
	if calls := faulty.Calls("Cells") - before; calls > most {
		t.Errorf("%d readings of cells, want %d", calls, most)
	}
	if got := added(t, l, "a/1"); len(got) != effects {
		t.Errorf("a/1: %v", got)
	}
}
