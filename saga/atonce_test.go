package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/saga"
)

// commits counts the commits in which something was written that is not the outbox's.
func commits(t testing.TB, l *eventlog.Log) int {
	t.Helper()
	ids := make(map[eventlog.ID]bool)
	for r, err := range l.Read(context.Background(), eventlog.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids[r.Commit()] = true
	}
	return len(ids)
}

// TestAtOnce: what follows from a step is done in its commit, also what is undone, with
// the same decisions and the same effects as in commits of their own.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	loop := with(adding("one"), func(s *saga.Step[count]) {
		s.Routes = []string{"one", "two"}
		s.Next = func(c *count) string {
			if c.N < 10 {
				return "one"
			}
			return "two"
		}
	})
	for name, test := range map[string]struct {
		saga    *saga.Saga[count]
		commits int // of changes, when all is done at once
	}{
		"forward": {round(adding("one"), adding("two"), adding("three")), 1},
		"back":    {round(adding("one"), adding("two"), adding("three"), refusing("four")), 2},
		"loop":    {round(loop, adding("two")), 1},
		"branch":  {round(adding("one"), saga.Step[count]{Name: "fork", Routes: []string{"two", "three"}, Next: func(*count) string { return "three" }}, adding("two"), adding("three")), 1},
		"child":   {round(adding("one"), sendOut(""), adding("two")), 3},
		"fan-out": {round(fanOut(0, "a b c"), adding("two")), 0},
		"wrong Next": {round(with(adding("one"), func(s *saga.Step[count]) {
			s.Routes, s.Next = []string{"one"}, func(*count) string { return "nowhere" }
		})), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // a loaded machine would end a commit in time
				histories := make(map[int][]string)
				for _, atOnce := range []int{-1, 64} {
					l := eventlogtest.New(t)
					start(t, l, test.saga, "x", count{})
					drainWith(t, atOnce, l, both(test.saga, errands)...)
					leftovers(t, l)
					histories[atOnce] = append(entries(t, l, "round", "x"), string(status(t, l, test.saga, "x").State), fmt.Sprint(status(t, l, test.saga, "x").Data))
					for _, stream := range []string{"note/one", "note/two", "note/three", "errand/k"} {
						for r, err := range l.Read(t.Context(), eventlog.Query{Stream: stream}) {
							histories[atOnce] = append(histories[atOnce], fmt.Sprint(stream, string(r.Data), err))
						}
					}
					if n := commits(t, l); atOnce > 0 && test.commits > 0 && n != test.commits {
						t.Errorf("%d commits, want %d", n, test.commits)
					}
				}
				if diff := cmp.Diff(histories[-1], histories[64]); diff != "" {
					t.Errorf("(-apart +at once):\n%s", diff)
				}
			})
		})
	}
}

// TestAtOnceThatFails: a step that fails at once leaves nothing behind of it, is tried
// as a step of its own, where its attempts count, and the saga goes on at once behind it.
func TestAtOnceThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, fail := range map[string]func() error{
			"error": func() error { return errors.New("not now") },
			"panic": func() error { panic("not now") },
		} {
			l := eventlogtest.New(t)
			tries := 0
			s := round(adding("one"), with(adding("two"), func(s *saga.Step[count]) {
				do := s.Do
				s.Do = func(tx *eventlog.Tx, c *count) error {
					if err := do(tx, c); err != nil {
						return err
					}
					if tries++; tries <= 2 {
						return fail()
					}
					return nil
				}
			}), adding("three"))
			start(t, l, s, "x", count{})
			stop := runWith(t, 64, l, s.Handlers()...)
			if st := await(t, l, s, "x"); st.State != saga.Completed || strings.Join(st.Data.Log, " ") != "one two three" || st.Data.N != 3 {
				t.Errorf("%s: %s: %+v", name, st.State, st.Data)
			}
			stop()
			if got := notes(t, l, "note"); len(got) != 3 || tries < 3 || failedSteps(t, l) != 1 || commits(t, l) != 2 {
				t.Errorf("%s: %v after %d tries, %d of them counted, in %d commits", name, got, tries, failedSteps(t, l), commits(t, l))
			}
			leftovers(t, l)
		}
	})
}

// TestAtOnceOnlyWhatIsKnown: a runner does nothing at once of which it has no handler; what
// must keep an order, and calls, are not done at once either.
func TestAtOnceOnlyWhatIsKnown(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	ordered := with(adding("two"), func(s *saga.Step[count]) { s.Policy.Ordered = true })
	for id, test := range map[string]struct {
		saga *saga.Saga[count]
		only []string
		done string
	}{
		"unknown": {round(adding("one"), adding("two")), []string{"one/do", "reply"}, "one"},
		"ordered": {round(adding("one"), ordered), []string{"one/do", "reply"}, "one"},
		"deaf":    {round(adding("one"), adding("two")), []string{"one/do"}, ""},
	} {
		start(t, l, test.saga, id, count{})
		drainWith(t, 64, l, only(test.saga.Handlers(), test.only...)...)
		if st := status(t, l, test.saga, id); st.State != saga.Running || strings.Join(st.Done, " ") != test.done {
			t.Errorf("%s: %s, done %v", id, st.State, st.Done)
		}
		drainWith(t, 64, l, test.saga.Handlers()...)
		if st := status(t, l, test.saga, id); st.State != saga.Completed {
			t.Errorf("%s: %s", id, st.State)
		}
	}
}

// TestAtOnceSeesNoOtherState: what a Do changes in its data beside what is stored is gone
// in the next step, as if it ran elsewhere.
func TestAtOnceSeesNoOtherState(t *testing.T) {
	t.Parallel()
	type secret struct {
		N      int
		Hidden int `json:"-"`
		List   []int
	}
	type flat struct {
		N      int
		Hidden int `json:"-"`
	}
	step := func(name string) saga.Step[secret] {
		return saga.Step[secret]{Name: name, On: func(s *secret) string { return fmt.Sprint("note/", name, s.Hidden) }, Do: func(tx *eventlog.Tx, s *secret) error {
			s.N += 1 + s.Hidden
			s.Hidden = 100
			return tx.Append(fmt.Sprint("note/", name, 0), noted{name})
		}}
	}
	same := func(name string) saga.Step[flat] { // the data that is stored does not change
		return saga.Step[flat]{Name: name, On: func(s *flat) string { return fmt.Sprint("flat/", name, s.Hidden) }, Do: func(tx *eventlog.Tx, s *flat) error {
			s.Hidden += 100
			return tx.Append(fmt.Sprint("flat/", name, 0), noted{fmt.Sprint(s.Hidden)})
		}}
	}
	l := eventlogtest.New(t)
	s := &saga.Saga[secret]{Name: "secret", Version: 1, Steps: saga.Steps[secret]{step("a"), step("b"), step("c")}}
	f := &saga.Saga[flat]{Name: "flat", Version: 1, Steps: saga.Steps[flat]{same("a"), same("b"), same("c")}}
	start(t, l, s, "x", secret{})
	start(t, l, f, "x", flat{})
	drainWith(t, 64, l, slices.Concat(s.Handlers(), f.Handlers())...)
	if st := status(t, l, s, "x"); st.State != saga.Completed || st.Data.N != 3 {
		t.Errorf("%s: %+v", st.State, st.Data)
	}
	if got := notes(t, l, "flat"); !slices.Equal(got, []string{"100", "100", "100"}) {
		t.Errorf("%v", got)
	}
}

// TestAtOnceIsBounded: a saga that goes on and on does so in commits of AtOnce steps, and
// the others have their turn.
func TestAtOnceIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		loop := round(with(adding("one"), func(s *saga.Step[count]) {
			s.Do = func(tx *eventlog.Tx, c *count) error {
				c.N++
				return tx.Append("note/one", noted{"one"})
			}
			s.Undo = nil
			s.Routes = []string{"one", saga.End}
			s.Next = func(c *count) string {
				if c.N < 1000 {
					return "one"
				}
				return saga.End
			}
		}))
		start(t, l, loop, "x", count{})
		drainWith(t, 64, l, loop.Handlers()...)
		if n := commits(t, l); n < 1000/65 || n > 1000/64+10 {
			t.Errorf("%d commits", n)
		}
		if st := status(t, l, loop, "x"); st.State != saga.Completed || st.Data.N != 1000 {
			t.Errorf("%s: %+v", st.State, st.Data)
		}
	})
}

// TestAtOnceBesideOthers: two runners and users who change the same streams get in each
// other's way all the time, and all the same every transfer happens once.
func TestAtOnceBesideOthers(t *testing.T) {
	t.Parallel()
	const transfers, changes = 200, 300
	l := eventlogtest.New(t)
	for a := range 4 {
		open(t, l, fmt.Sprint("account/", a), 1000)
	}
	handlers := transfer.Handlers()
	stops := []func(){runWith(t, 64, l, handlers...), runWith(t, 64, l, handlers...)}
	done := make(chan error)
	go func() {
		for n := range changes {
			_, err := l.Update(context.Background(), func(tx *eventlog.Tx) error {
				if err := post(tx, fmt.Sprint("account/", n%4), 1); err != nil {
					return err
				}
				return post(tx, fmt.Sprint("account/", (n+1)%4), -1)
			})
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for n := range transfers {
		start(t, l, &transfer, fmt.Sprint(n), Transfer{fmt.Sprint("account/", n%4), fmt.Sprint("account/", (n+n/4+1)%4), 1})
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for n := range transfers {
		if st := await(t, l, &transfer, fmt.Sprint(n)); st.State != saga.Completed {
			t.Errorf("transfer %d: %s %v", n, st.State, st.Err)
		}
	}
	for _, stop := range stops {
		stop()
	}
	total, n := int64(0), 0
	for a := range 4 {
		list := postings(t, l, fmt.Sprint("account/", a))
		total, n = total+sum(list), n+len(list)
	}
	if total != 4000 || n != 4+2*(transfers+changes) {
		t.Errorf("%d in %d postings", total, n)
	}
	leftovers(t, l)
}

// TestTraceAtOnce: what was done at once has its place in the tree.
func TestTraceAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		s := round(adding("one"), adding("two"), sendOut(""), refusing("three"))
		start(t, l, s, "x", count{})
		drainWith(t, 64, l, both(s, errands)...)
		tree := trace(t, l, "round", "x")
		want := `chain ID
└ round one on note/one: done after 0s
  ├ round two on note/two: done at once
  └ errand begin to x/errand.3: done after 0s
    ├ errand go on errand/k: done at once
    ├ errand do on errand/k: done at once
    └ round child to x: done after 0s
      → round three on note/three: refused after 0s (three refuses)
      → round reply to x: done after 0s
      → errand recall to x/errand.3: done after 0s
      ├ errand do undo on errand/k: done at once
      ├ errand go undo on errand/k: done at once
      └ round child to x: done after 0s
        ├ round two undo on note/two: done at once
        └ round one undo on note/one: done at once
`
		if diff := cmp.Diff(want, strings.ReplaceAll(tree.String(), tree.Chain.String(), "ID")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		time.Sleep(time.Second)
	})
}

// TestSlowAtOnce: who does something at once that takes long is not waited for.
func TestSlowAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := eventlogtest.New(t)
		s := round(adding("one"), with(adding("two"), func(s *saga.Step[count]) {
			do := s.Do
			s.Do = func(tx *eventlog.Tx, c *count) error {
				if c.Limit > 0 {
					time.Sleep(time.Hour)
				}
				return do(tx, c)
			}
		}))
		for i := range s.Steps {
			name := s.Steps[i].Name
			s.Steps[i].On = func(c *count) string { return fmt.Sprint("note/", name, c.Limit) }
		}
		stop := runWith(t, 64, l, s.Handlers()...)
		start(t, l, s, "first", count{})
		await(t, l, s, "first") // the runner knows what it does at once from here on
		start(t, l, s, "slow", count{Limit: 1})
		synctest.Wait()
		begin := time.Now()
		for n := range 3 {
			start(t, l, s, fmt.Sprint(n), count{})
		}
		for n := range 3 {
			await(t, l, s, fmt.Sprint(n))
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v", took)
		}
		if st := await(t, l, s, "slow"); st.State != saga.Completed {
			t.Errorf("%s", st.State)
		}
		stop()
	})
}

// picky is data that cannot always be read.
type picky struct{ Bad bool }

func (p *picky) UnmarshalJSON(data []byte) error {
	if p.Bad = string(data) == `{"Bad":true}`; p.Bad {
		return errors.New("bad data")
	}
	return nil
}

// TestStillbornChild: a child whose data cannot be read has ended when it began, whatever
// comes for it afterwards.
func TestStillbornChild(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	child := &saga.Saga[picky]{Name: "picky", Version: 1, Steps: saga.Steps[picky]{{Name: "go",
		On: func(*picky) string { return "note/picky" }, Do: func(tx *eventlog.Tx, _ *picky) error { return tx.Append("note/picky", noted{"go"}) }, Undo: saga.NoUndo[picky]}}}
	s := round(adding("one"), saga.Step[count]{Name: "child", Child: saga.Run(child, func(*count, string) picky { return picky{true} }, nil)})
	start(t, l, s, "x", count{})
	handlers := slices.Concat(s.Handlers(), child.Handlers())
	drain(t, l, handlers...)
	before := entries(t, l, "picky", "x/child.2")
	send(t, l, child.Begin("x/child.2", picky{}))
	drain(t, l, handlers...)
	if st := status(t, l, s, "x"); st.State != saga.Compensated {
		t.Errorf("%s: %v", st.State, st.Err)
	}
	if after := entries(t, l, "picky", "x/child.2"); !slices.Equal(before, after) || len(notes(t, l, "note")) != 2 {
		t.Errorf("%v, then %v", before, after)
	}
}

// TestChainOfTheTransaction: an instance belongs to the chain that its transaction has at
// its end.
func TestChainOfTheTransaction(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	var chain eventlog.ID
	_, err := l.Update(t.Context(), func(tx *eventlog.Tx) error {
		chain = tx.ID()
		chain[0]++
		if err := transfer.Start(tx, "1", Transfer{"account/a", "account/b", 1}); err != nil {
			return err
		}
		tx.Meta().Correlation = chain
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	drain(t, l, transfer.Handlers()...)
	if st := status(t, l, &transfer, "1"); st.Chain != chain {
		t.Errorf("chain %s, want %s", st.Chain, chain)
	}
}

// TestAtOnceInManyShards: many batches find out side by side that they can do things at
// once.
func TestAtOnceInManyShards(t *testing.T) {
	t.Parallel()
	l := eventlogtest.New(t)
	for a := range 40 {
		open(t, l, fmt.Sprint("account/", a), 1000)
	}
	for n := range 80 {
		start(t, l, &transfer, fmt.Sprint(n), Transfer{fmt.Sprint("account/", n%40), fmt.Sprint("account/", (n*7+1)%40), 1})
	}
	drainWith(t, 64, l, transfer.Handlers()...)
	for n := range 80 {
		if st := status(t, l, &transfer, fmt.Sprint(n)); st.State != saga.Completed {
			t.Errorf("transfer %d: %s %v", n, st.State, st.Err)
		}
	}
	leftovers(t, l)
}
