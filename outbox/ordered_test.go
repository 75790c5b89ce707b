package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
)

// moody fails as long as it is told to.
func moody(broken *atomic.Bool, p *outbox.Policy) outbox.Handler {
	return outbox.On(func(tx *eventlog.Tx, f Fail) error {
		if broken.Load() {
			return errFail
		}
		return tx.Append(f.To, Added{-1})
	}, p)
}

var byAnn = outbox.Decision{By: "ann", Why: "mended"}

func redrive(t testing.TB, l *eventlog.Log, which outbox.Filter, d outbox.Decision, want int) {
	t.Helper()
	n, err := outbox.Redrive(context.Background(), l, which, d)
	if err != nil || n != want {
		t.Errorf("%d redriven, want %d: %v", n, want, err)
	}
}

// TestOrderedStopsItsTarget: behind an ordered step that fails, then is dead,
// everything for its target waits, also over restarts, however much it is; other
// targets of the same tenant go on. When it is redriven all goes on in order.
func TestOrderedStopsItsTarget(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, l *eventlog.Log, broken *atomic.Bool) (want []int){
		"redriven": func(t *testing.T, l *eventlog.Log, broken *atomic.Bool) []int {
			broken.Store(false)
			redrive(t, l, outbox.Filter{}, byAnn, 1)
			return []int{-1}
		},
		"discarded": func(t *testing.T, l *eventlog.Log, _ *atomic.Bool) []int {
			if n, err := outbox.Discard(t.Context(), l, outbox.Filter{Type: "test.fail"}, byAnn); n != 1 || err != nil {
				t.Errorf("%d discarded: %v", n, err)
			}
			return nil
		},
		"redriven in vain, then discarded": func(t *testing.T, l *eventlog.Log, _ *atomic.Bool) []int {
			redrive(t, l, outbox.Filter{Target: "a/1"}, byAnn, 1)
			sleep(time.Hour)
			if list := dead(t, l); len(list) != 1 || list[0].Attempts != 3 {
				t.Errorf("dead letters %+v", list)
			}
			if n, err := outbox.Discard(t.Context(), l, outbox.Filter{Err: "out of"}, byAnn); n != 1 || err != nil {
				t.Errorf("%d discarded: %v", n, err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := eventlogtest.Open(t, few)
				broken := new(atomic.Bool)
				broken.Store(true)
				h := moody(broken, &outbox.Policy{Ordered: true, Attempts: 3, Backoff: time.Minute})
				narrow := func() *outbox.Runner {
					r := calm(l, h)
					r.ReadAhead, r.Batch = 16, 4
					return r
				}
				steps := []outbox.Step{Add{"a/1", 0}, Fail{"a/1"}}
				want := []int{0}
				for i := 1; i <= 100; i++ {
					steps = append(steps, Add{"a/1", i}, Add{"a/2", i})
				}
				enqueue(t, l, steps...)
				stop := start(t, narrow())
				for _, restart := range []bool{false, true, false} {
					sleep(time.Hour)
					if a, b := added(t, l, "a/1"), added(t, l, "a/2"); !slices.Equal(a, want) || len(b) != 100 || !slices.IsSorted(b) {
						t.Fatalf("a/1: %v, a/2: %v", a, b)
					}
					if restart {
						stop()
						stop = start(t, narrow())
					}
				}
				if list := pending(t, l); len(list) != 100 || !list[0].Stopped {
					t.Errorf("%d pending", len(list))
				}
				want = append(want, end(t, l, broken)...)
				for i := 1; i <= 100; i++ {
					want = append(want, i)
				}
				sleep(time.Hour)
				enqueue(t, l, Add{"a/1", 101})
				sleep(time.Hour)
				if got := added(t, l, "a/1"); !slices.Equal(got, append(want, 101)) {
					t.Errorf("a/1: %v", got)
				}
				if n, m := len(pending(t, l)), len(dead(t, l)); n+m != 0 {
					t.Errorf("%d pending, %d dead", n, m)
				}
			})
		})
	}
}

// TestOrderedRetries: while an ordered step waits for its next attempt, its target
// waits with it.
func TestOrderedRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		broken := new(atomic.Bool)
		broken.Store(true)
		enqueue(t, l, Fail{"a/1"}, Add{"a/1", 1}, Add{"b/1", 1})
		start(t, calm(l, moody(broken, &outbox.Policy{Ordered: true, Backoff: time.Hour})))
		sleep(time.Minute)
		enqueue(t, l, Add{"a/1", 2})
		sleep(time.Minute)
		if a, b := added(t, l, "a/1"), added(t, l, "b/1"); len(a) != 0 || len(b) != 1 {
			t.Errorf("%v, %v", a, b)
		}
		broken.Store(false)
		sleep(time.Hour)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{-1, 1, 2}) {
			t.Errorf("%v", got)
		}
	})
}

// TestRedrive: dead letters are tried again one by one, by type, by target, by
// error, or all; with another payload; each decision is in the log with who and
// why.
func TestRedrive(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	broken := new(atomic.Bool)
	broken.Store(true)
	shaky := outbox.On(func(tx *eventlog.Tx, a Add) error {
		if broken.Load() && a.N >= 0 {
			return outbox.Abort(fmt.Errorf("no %d", a.N%2))
		}
		return tx.Append(a.To, Added{a.N})
	}, nil)
	for i := range 8 {
		enqueue(t, l, Add{fmt.Sprintf("a/%d", i/2), i}, Fail{"b/1"})
	}
	r := runner(l, shaky, moody(broken, &outbox.Policy{Attempts: 1}))
	drain(t, r)
	list := dead(t, l)
	if len(list) != 16 {
		t.Fatalf("%d dead letters", len(list))
	}
	one := outbox.Filter{ID: list[slices.IndexFunc(list, func(i outbox.Info) bool { return i.Target == "a/3" })].ID}
	redrive(t, l, one, outbox.Decision{By: "ann", Data: []byte(`{"To":"a/3","N":-7}`)}, 1)
	drain(t, r)
	if got := added(t, l, "a/3"); !slices.Equal(got, []int{-7}) {
		t.Errorf("edited: %v", got)
	}
	redrive(t, l, one, byAnn, 0) // it is done
	broken.Store(false)
	redrive(t, l, outbox.Filter{Target: "a/0"}, byAnn, 2)
	redrive(t, l, outbox.Filter{Target: "a/0"}, byAnn, 0)
	redrive(t, l, outbox.Filter{Type: "test.add", Err: "no 1"}, byAnn, 3-len(added(t, l, "a/3"))+1)
	redrive(t, l, outbox.Filter{Type: "test.fail"}, byAnn, 8)
	drain(t, r)
	redrive(t, l, outbox.Filter{}, byAnn, len(dead(t, l)))
	drain(t, r)
	if n, m := len(dead(t, l)), len(pending(t, l)); n+m != 0 {
		t.Errorf("%d dead, %d pending", n, m)
	}
	n := 0
	for i := range 4 {
		n += len(added(t, l, fmt.Sprintf("a/%d", i)))
	}
	if b := len(added(t, l, "b/1")); n != 8 || b != 8 {
		t.Errorf("%d and %d effects, want 8 of each", n, b)
	}
	decisions := 0
	for r, err := range l.Read(t.Context(), eventlog.Query{System: true, Types: []string{"$step.redriven"}}) {
		var v struct{ By string }
		if err == nil {
			err = r.Decode(&v)
		}
		if err != nil || v.By != "ann" || r.Meta.Actor != "ann" || r.Time.IsZero() {
			t.Errorf("%+v: %v", v, err)
		}
		decisions++
	}
	if decisions != 16 {
		t.Errorf("%d decisions", decisions)
	}
}

func TestDecisionsAreChecked(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	ctx := t.Context()
	for name, fn := range map[string]func() (int, error){
		"redrive by nobody": func() (int, error) { return outbox.Redrive(ctx, l, outbox.Filter{}, outbox.Decision{}) },
		"one payload for all": func() (int, error) {
			return outbox.Redrive(ctx, l, outbox.Filter{}, outbox.Decision{By: "a", Data: []byte("1")})
		},
		"a payload not of JSON": func() (int, error) {
			return outbox.Redrive(ctx, l, outbox.Filter{ID: eventlog.ID{1}}, outbox.Decision{By: "a", Data: []byte("{")})
		},
		"discard by nobody":     func() (int, error) { return outbox.Discard(ctx, l, outbox.Filter{}, outbox.Decision{Why: "x"}) },
		"discard for no reason": func() (int, error) { return outbox.Discard(ctx, l, outbox.Filter{}, outbox.Decision{By: "a"}) },
		"discard with payload": func() (int, error) {
			return outbox.Discard(ctx, l, outbox.Filter{}, outbox.Decision{By: "a", Why: "x", Data: []byte("1")})
		},
	} {
		if _, err := fn(); !errors.Is(err, outbox.ErrDecision) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDecidedByOneOnly: of many who decide on a dead letter at once, one does.
func TestDecidedByOneOnly(t *testing.T) {
	t.Parallel()
	store := memlog.NewStore()
	l, other := open(t, store), open(t, store)
	for range 5 {
		enqueue(t, l, Fail{"a/1"})
	}
	drain(t, runner(l, failing(&outbox.Policy{Attempts: 1})))
	results := make(chan int, 8)
	for i := range 8 {
		go func() {
			on := l
			if i%2 == 0 {
				on = other
			}
			var n int
			var err error
			if i < 4 {
				n, err = outbox.Redrive(context.Background(), on, outbox.Filter{}, byAnn)
			} else {
				n, err = outbox.Discard(context.Background(), on, outbox.Filter{}, byAnn)
			}
			if err != nil {
				t.Error(err)
			}
			results <- n
		}()
	}
	sum := 0
	for range 8 {
		sum += <-results
	}
	if sum != 5 || len(dead(t, l)) != 0 {
		t.Errorf("%d decisions on 5 letters, %d left", sum, len(dead(t, l)))
	}
}

// TestTTL: a step that comes too late does not run; it is recorded as expired. For
// one with a time of its own it counts from then.
func TestTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		h := adding
		h.Policy.TTL = time.Hour
		enqueue(t, l, Add{"a/1", 1})
		at(t, l, 2*time.Hour, Add{"a/1", 2})
		sleep(2*time.Hour + time.Minute)
		expired := 0
		r := runner(l, h)
		r.Hooks.Step = func(i outbox.StepInfo) {
			if i.Outcome == outbox.StepExpired {
				expired++
			}
		}
		drain(t, r)
		if got := added(t, l, "a/1"); !slices.Equal(got, []int{2}) || expired != 1 {
			t.Errorf("%v, %d expired", got, expired)
		}
		if list := dead(t, l); len(list) != 1 || !list[0].Expired {
			t.Errorf("%+v", list)
		}
	})
}

// TestPriority: steps of a type with a higher priority go first, those of the
// same one in their order.
func TestPriority(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	var order []string
	note := func(typ string, p int) outbox.Handler {
		return outbox.Handler{Type: typ, Policy: outbox.Policy{Priority: p}, Do: func(tx *eventlog.Tx, s outbox.Raw) error {
			order = append(order, s.Type+string(s.Data))
			return nil
		}}
	}
	var steps []outbox.Step
	for i := range 3 {
		for _, typ := range []string{"low", "normal", "high"} {
			steps = append(steps, outbox.Raw{Type: typ, Stream: "a/1", Data: fmt.Append(nil, i)})
		}
	}
	enqueue(t, l, steps...)
	drain(t, runner(l, note("low", -1), note("normal", 0), note("high", 7)))
	want := []string{"high0", "high1", "high2", "normal0", "normal1", "normal2", "low0", "low1", "low2"}
	if !slices.Equal(order, want) {
		t.Errorf("%v", order)
	}
}
