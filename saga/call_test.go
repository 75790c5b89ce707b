package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// A provider of payments takes one once for each key, and gives it back once.
type provider struct {
	mu    sync.Mutex
	taken map[string]int // 1: taken, 0: given back
	calls []string
	fail  func(call int) error // before or, with an afterwards, behind the effect
}

type afterwards struct{ error }

func (p *provider) do(what, key string, value int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, what+" "+key)
	var err error
	if p.fail != nil {
		err = p.fail(len(p.calls))
	}
	if after := (afterwards{}); err == nil || errors.As(err, &after) {
		if p.taken == nil {
			p.taken = map[string]int{}
		}
		p.taken[key] = value
	}
	return err
}

func (p *provider) sum() (n int) {
	for _, v := range p.taken {
		n += v
	}
	return n
}

// pay is a step that calls the provider.
func (p *provider) pay() saga.Step[count] {
	return saga.Step[count]{
		Name: "pay",
		Call: func(_ context.Context, key string, c *count) error {
			if err := p.do("take", key, 1); err != nil {
				return err
			}
			c.Log = append(c.Log, "paid")
			return nil
		},
		Recall: func(_ context.Context, key string, c *count) error {
			if err := p.do("give", key, 0); err != nil {
				return err
			}
			c.Log = append(c.Log, "repaid")
			return nil
		},
		Policy: outbox.Policy{Attempts: 4},
	}
}

// TestCall: a call is made until it succeeds, with one key, and its result goes into the
// data once; when it is refused, or its attempts are used up, the saga goes back; when
// the saga goes back later, the call is recalled by its key.
func TestCall(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fail  func(int) error
		then  saga.Step[count]
		state saga.State
		log   string
		calls string
		sum   int
	}{
		"at once": {nil, adding("two"), saga.Completed, "one paid two", "take round/x/2", 1},
		"at last": {failing(1, 2, 3), adding("two"), saga.Completed, "one paid two", strings.Repeat("take round/x/2 ", 4), 1},
		"answer lost": {func(n int) error {
			if n == 1 {
				return afterwards{errors.New("no answer")}
			}
			return nil
		}, adding("two"), saga.Completed, "one paid two", "take round/x/2 take round/x/2", 1},
		"in vain":  {failing(1, 2, 3, 4), adding("two"), saga.Compensated, "one un-one", strings.Repeat("take round/x/2 ", 4), 0},
		"refused":  {func(int) error { return outbox.Abort(errors.New("no")) }, adding("two"), saga.Compensated, "one un-one", "take round/x/2", 0},
		"recalled": {failing(2), refusing("two"), saga.Compensated, "one paid repaid un-one", "take round/x/2 give round/x/2 give round/x/2", 0},
		"panics":   {func(int) error { panic("argh") }, adding("two"), saga.Compensated, "one un-one", strings.Repeat("take round/x/2 ", 4), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &provider{fail: test.fail}
				l := eventlogtest.New(t)
				s := round(adding("one"), p.pay(), test.then)
				start(t, l, s, "x", count{})
				for range 20 {
					drain(t, l, s.Handlers()...)
					time.Sleep(time.Minute)
				}
				st := status(t, l, s, "x")
				if st.State != test.state || strings.Join(st.Data.Log, " ") != test.log || p.sum() != test.sum {
					t.Errorf("%s: %v, %d taken: %v", st.State, st.Data, p.sum(), st.Err)
				}
				if got := strings.Join(p.calls, " "); got != strings.TrimSpace(test.calls) {
					t.Errorf("calls: %s", got)
				}
				leftovers(t, l)
			})
		})
	}
}

func failing(calls ...int) func(int) error {
	return func(n int) error {
		if slices.Contains(calls, n) {
			return errors.New("not now")
		}
		return nil
	}
}

// TestCallThatWasGivenUp: a call that was cancelled, timed out or skipped before its
// outcome was known may have happened: it is recalled when the saga goes back, at once or
// later, with its key. No money is lost, whether it had happened or not.
func TestCallThatWasGivenUp(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send   outbox.Step
		change func(*saga.Step[count])
		then   saga.Step[count]
		state  saga.State
		log    string
	}{
		"cancelled":            {saga.Cancel{Saga: "round", ID: "x"}, nil, adding("two"), saga.Cancelled, "one repaid un-one"},
		"timed out":            {nil, func(s *saga.Step[count]) { s.Timeout = time.Hour }, adding("two"), saga.Compensated, "one repaid un-one"},
		"another way":          {nil, func(s *saga.Step[count]) { s.Timeout, s.OnTimeout = time.Hour, "two" }, adding("two"), saga.Completed, "one two"},
		"another way, in vain": {nil, func(s *saga.Step[count]) { s.Timeout, s.OnTimeout = time.Hour, "two" }, refusing("two"), saga.Compensated, "one repaid un-one"},
		"skipped, in vain":     {saga.Skip{Saga: "round", ID: "x", Reason: "r"}, nil, refusing("two"), saga.Compensated, "one repaid un-one"},
	} {
		for _, happened := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", happened), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := &provider{}
					p.fail = func(int) error {
						switch last := p.calls[len(p.calls)-1]; {
						case strings.HasPrefix(last, "give"):
							return nil
						case happened:
							return afterwards{errors.New("no answer")}
						}
						return errors.New("no answer")
					}
					pay := with(p.pay(), func(s *saga.Step[count]) { s.Policy.Attempts = -1 })
					if test.change != nil {
						test.change(&pay)
					}
					l := eventlogtest.New(t)
					s := round(adding("one"), pay, test.then)
					start(t, l, s, "x", count{})
					drain(t, l, s.Handlers()...)
					if test.send != nil {
						send(t, l, test.send)
					}
					for range 3 {
						drain(t, l, s.Handlers()...)
						time.Sleep(time.Hour)
					}
					st := status(t, l, s, "x")
					if st.State != test.state || strings.Join(st.Data.Log, " ") != test.log {
						t.Errorf("%s: %v: %v", st.State, st.Data, st.Err)
					}
					if p.sum() != 0 && st.State != saga.Completed {
						t.Errorf("%d was taken and not given back: %v", p.sum(), p.calls)
					}
					leftovers(t, l)
				})
			})
		}
	}
}

// TestRecallThatFails: a Recall whose attempts are used up parks the instance; a Retry
// calls with the same key.
func TestRecallThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{fail: failing(2, 3, 4, 5)}
		l := eventlogtest.New(t)
		s := round(p.pay(), refusing("two"))
		start(t, l, s, "x", count{})
		for range 5 {
			drain(t, l, s.Handlers()...)
			time.Sleep(time.Minute)
		}
		if st := status(t, l, s, "x"); st.State != saga.Parked || p.sum() != 1 {
			t.Errorf("%s: %v", st.State, st.Err)
		}
		send(t, l, saga.Retry{Saga: "round", ID: "x"})
		drain(t, l, s.Handlers()...)
		if st := status(t, l, s, "x"); st.State != saga.Compensated || p.sum() != 0 || p.calls[5] != "give round/x/1" {
			t.Errorf("%s: %v, calls %v", st.State, st.Err, p.calls)
		}
		leftovers(t, l)
	})
}

// TestCallThatHangs: a call that hangs is ended by its policy; meanwhile the instance
// hears what it is told.
func TestCallThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		hangs := saga.Step[count]{Name: "hang", Policy: outbox.Policy{Timeout: 20 * time.Second, Attempts: -1},
			Call: func(ctx context.Context, _ string, _ *count) error {
				<-ctx.Done()
				return ctx.Err()
			}}
		s := round(adding("one"), hangs)
		start(t, l, s, "x", count{})
		stop := run(t, l, s.Handlers()...)
		time.Sleep(5 * time.Second)
		send(t, l, saga.Cancel{Saga: "round", ID: "x", By: "ann"})
		time.Sleep(time.Second)
		if h := history(t, l, "round", "x"); h[len(h)-1] != "$saga.stopping" {
			t.Errorf("%v", h)
		}
		time.Sleep(time.Minute)
		if st := status(t, l, s, "x"); st.State != saga.Cancelled || strings.Join(st.Data.Log, " ") != "one un-one" {
			t.Errorf("%s: %v", st.State, st.Err)
		}
		stop()
		leftovers(t, l)
	})
}
