package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// bury makes n dead letters for so many targets, and returns the handler that
// does the same steps once broken is false.
func bury(t *testing.T, l *eventlog.Log, n, targets int, broken *bool) outbox.Handler {
	t.Helper()
	h := outbox.On(func(tx *eventlog.Tx, a Add) error {
		if *broken {
			return outbox.Abort(errFail)
		}
		return tx.Append(a.To, Added{a.N})
	}, nil)
	var steps []outbox.Step
	for i := range n {
		steps = append(steps, Add{fmt.Sprintf("d/%d", i%targets), i})
	}
	for page := range slices.Chunk(steps, 500) {
		enqueue(t, l, page...)
	}
	drain(t, runner(l, h))
	return h
}

// TestRedriveMany: many letters are listed and redriven with few reads of the
// steps, those of each target in their order.
func TestRedriveMany(t *testing.T) {
	t.Parallel()
	faulty := drivertest.NewFaulty(memlog.Open(), nil)
	l, err := eventlog.Open(context.Background(), faulty, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const total, targets = 5000, 40
	broken := true
	h := bury(t, l, total, targets, &broken)
	before := faulty.Calls("Read") + faulty.Calls("Find")
	if n := len(dead(t, l)); n != total {
		t.Fatalf("%d dead letters", n)
	}
	if n := faulty.Calls("Read") + faulty.Calls("Find") - before; n > total/4 {
		t.Errorf("%d letters were listed with %d reads", total, n)
	}
	broken = false
	redrive(t, l, outbox.Filter{}, byAnn, total)
	redrive(t, l, outbox.Filter{}, byAnn, 0)
	drain(t, runner(l, h))
	for n := range targets {
		got := added(t, l, fmt.Sprintf("d/%d", n))
		if len(got) != total/targets || !slices.IsSorted(got) {
			t.Errorf("target %d: %d steps, in order: %t", n, len(got), slices.IsSorted(got))
		}
	}
	if n := len(dead(t, l)) + len(pending(t, l)); n != 0 {
		t.Errorf("%d steps are left", n)
	}
	if err := eventlog.Check(t.Context(), l); err != nil {
		t.Error(err)
	}
}

// TestRedriveFails: an error of the store ends the work; what was decided is
// counted, and the rest is decided when it is repeated.
func TestRedriveFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		faulty := drivertest.NewFaulty(memlog.Open(), nil)
		l, err := eventlog.Open(context.Background(), faulty, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		broken := true
		const total = 500
		bury(t, l, total, total, &broken)
		errStore := errors.New("no store")
		writes := 0
		faulty.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method == "Write" {
				if writes++; writes > 3 {
					return drivertest.Fault{Kind: drivertest.Fail, Err: errStore}
				}
			}
			return drivertest.Fault{}
		})
		n, err := outbox.Redrive(t.Context(), l, outbox.Filter{}, byAnn)
		if !errors.Is(err, errStore) || n == 0 || n == total {
			t.Errorf("%d redriven: %v", n, err)
		}
		faulty.Inject(nil)
		if left := len(dead(t, l)); left != total-n {
			t.Errorf("%d were redriven, and %d of %d are left", n, left, total)
		}
		redrive(t, l, outbox.Filter{}, byAnn, total-n)
	})
}

// TestDecidedByTwo: a letter that two decide on is decided once.
func TestDecidedByTwo(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	l, other := open(t, store), open(t, store)
	broken := true
	const total = 300
	bury(t, l, total, 7, &broken)
	type result struct {
		n   int
		err error
	}
	results := make(chan result, 2)
	go func() {
		n, err := outbox.Redrive(context.Background(), l, outbox.Filter{}, byAnn)
		results <- result{n, err}
	}()
	go func() {
		n, err := outbox.Discard(context.Background(), other, outbox.Filter{}, byAnn)
		results <- result{n, err}
	}()
	sum := 0
	for range 2 {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		sum += r.n
	}
	if sum != total {
		t.Errorf("%d decisions on %d letters", sum, total)
	}
}

// TestDeadAfterAnEdit: a letter whose payload was edited, and that died again, has
// the payload that it died with.
func TestDeadAfterAnEdit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		broken := true
		h := bury(t, l, 3, 3, &broken)
		first := dead(t, l)[0]
		redrive(t, l, outbox.Filter{ID: first.ID}, outbox.Decision{By: "ann", Data: []byte(`{"To":"d/0","N":70}`)}, 1)
		time.Sleep(time.Minute)
		drain(t, runner(l, h))
		list := dead(t, l)
		if len(list) != 3 {
			t.Fatalf("%+v", list)
		}
		for _, i := range list {
			if edited := i.ID == first.ID; edited != (string(i.Data) == `{"To":"d/0","N":70}`) || i.Attempts != 1 || !i.Dead || i.Err != "out of order" {
				t.Errorf("%+v", i)
			}
		}
	})
}
