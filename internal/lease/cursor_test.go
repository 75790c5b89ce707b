package lease_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/drivertest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/internal/lease"
)

// far is how far somebody came.
type far struct {
	N     int    `json:"n"`
	Epoch uint64 `json:"epoch"`
}

const farKey = "$test\x01far\x010000"

func cursors(l *eventlog.Log) *lease.Cursors[far] {
	return &lease.Cursors[far]{Log: l,
		Key:   func(index int) string { return fmt.Sprintf("$test\x01far\x01%04d", index) },
		Begin: func(int) far { return far{N: 7} },
		Epoch: func(f *far) *uint64 { return &f.Epoch },
	}
}

// walker is a keeper with its cursors.
func walker(l *eventlog.Log) (*lease.Keeper, *lease.Cursors[far]) {
	k, c := keeper(l, 1), cursors(l)
	k.Fence = c.Fence
	return k, c
}

func load(t testing.TB, c *lease.Cursors[far], k *lease.Keeper) lease.Cursor[far] {
	t.Helper()
	m, err := c.Load(context.Background(), k.Held()[0])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func cell(t testing.TB, l *eventlog.Log) string {
	t.Helper()
	value, _, err := l.ReadCell(context.Background(), farKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// Who lost the lease cannot move the cursor, whatever it saw of it.
func TestCursorIsFenced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		store := memlog.NewStore()
		one, mine := walker(openLog(t, store.Open()))
		tick(t, one)
		held := one.Held()[0]
		m := load(t, mine, one)
		if m.At != (far{7, 1}) {
			t.Errorf("at first %+v", m.At)
		}
		m, err := mine.Save(ctx, held, m, far{N: 8})
		if err != nil || m.At != (far{8, 1}) {
			t.Fatalf("saved %+v, %v", m.At, err)
		}
		l := openLog(t, store.Open())
		two, theirs := walker(l)
		for range 8 {
			time.Sleep(interval)
			tick(t, two)
		}
		now := load(t, theirs, two)
		if now.At != (far{8, 2}) {
			t.Errorf("taken over %+v", now.At)
		}
		if _, err := mine.Save(ctx, held, m, far{N: 9}); !errors.Is(err, lease.ErrLost) {
			t.Errorf("the one before saved: %v", err)
		}
		m, err = mine.Load(ctx, held)
		if !errors.Is(err, lease.ErrLost) {
			t.Errorf("the one before loaded: %v", err)
		}
		if got := cell(t, l); got != `{"n":8,"epoch":2}` {
			t.Errorf("stored %s", got)
		}
		if now, err = theirs.Save(ctx, two.Held()[0], now, far{N: 10}); err != nil || now.At.N != 10 {
			t.Errorf("saved %+v, %v", now.At, err)
		}
	})
}

// A write whose answer is lost counts, whether it arrived or not; a cell that is gone
// is written anew; one that is damaged is an error.
func TestCursorInDoubt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := drivertest.NewFaulty(memlog.Open(), nil)
	l := openLog(t, f)
	k, c := walker(l)
	tick(t, k)
	held := k.Held()[0]
	m := load(t, c, k)
	var err error
	for n, kind := range []drivertest.Kind{drivertest.Lose, drivertest.Drop, drivertest.Late} {
		once := true
		f.Inject(func(c drivertest.Call) drivertest.Fault {
			if c.Method != "Write" || !once {
				return drivertest.Fault{}
			}
			once = false
			return drivertest.Fault{Kind: kind}
		})
		if m, err = c.Save(ctx, held, m, far{N: n}); err != nil {
			t.Errorf("%v: %v", kind, err)
		}
		f.Deliver(ctx)
		if got, want := cell(t, l), fmt.Sprintf(`{"n":%d,"epoch":1}`, n); got != want || f.Injected(kind) != 1 {
			t.Errorf("%v: stored %s, want %s", kind, got, want)
		}
	}
	remove := func() {
		t.Helper()
		_, version, err := l.ReadCell(ctx, farKey)
		if err == nil {
			_, err = l.SwapCell(ctx, farKey, version, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	remove()
	if m := load(t, c, k); m.At.N != 7 {
		t.Errorf("begins anew with %+v", m.At)
	}
	if m, err = c.Save(ctx, held, m, far{N: 11}); err != nil || cell(t, l) != `{"n":11,"epoch":1}` {
		t.Errorf("removed: %v, stored %s", err, cell(t, l))
	}
	remove()
	if _, err := l.SwapCell(ctx, farKey, 0, []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Save(ctx, held, m, far{N: 12}); !errors.Is(err, eventlog.ErrCorrupt) {
		t.Errorf("damaged: %v", err)
	}
}
