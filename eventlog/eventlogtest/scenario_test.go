package eventlogtest_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
)

type opened struct{ Owner string }
type posted struct{ Amount int }
type state struct {
	Owner   string
	Balance int
}

func (opened) EventType() string { return "opened" }
func (posted) EventType() string { return "posted" }

var accounts = eventlog.Model[state]{Name: "account", Folds: eventlog.Folds[state]{
	eventlog.On(func(s *state, e opened) { s.Owner = e.Owner }),
	eventlog.On(func(s *state, e posted) { s.Balance += e.Amount }),
}}

var errFunds = errors.New("funds")

// withdraw is what the scenarios test.
func withdraw(amount int) func(tx *eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		s, err := accounts.Load(tx, "a")
		if err != nil {
			return err
		}
		if err := tx.Append("a", eventlog.Tagged(posted{-amount}, "withdrawal")); err != nil {
			return err
		}
		if s.Balance < amount {
			return fmt.Errorf("withdraw %d: %w", amount, errFunds)
		}
		return nil
	}
}

// transfer takes from a and gives to b.
func transfer(amount int) func(tx *eventlog.Tx) error {
	return func(tx *eventlog.Tx) error {
		s, err := accounts.Load(tx, "a")
		if err != nil {
			return err
		}
		if s.Balance < amount {
			return fmt.Errorf("transfer: %w", &shortage{amount - s.Balance})
		}
		return errors.Join(tx.Append("a", posted{-amount}), tx.Append("b", posted{amount}))
	}
}

type shortage struct{ by int }

func (e *shortage) Error() string { return fmt.Sprint(e.by, " short") }

func idle(*eventlog.Tx) error { return nil }

// TestScenario: what is as expected passes, everything else fails and says why.
func TestScenario(t *testing.T) {
	t.Parallel()
	given := func(t testing.TB) *eventlogtest.Scenario[state] {
		return eventlogtest.Given(t, &accounts, "a", opened{"ada"}, posted{100})
	}
	withdrawal := func(amount int) eventlog.Event { return eventlog.Tagged(posted{-amount}, "withdrawal") }
	for name, c := range map[string]struct {
		run  func(t testing.TB)
		says []string
	}{
		"as expected": {func(t testing.TB) {
			given(t).When(withdraw(30)).Then(withdrawal(30)).ThenState(state{"ada", 70})
		}, nil},
		"refused as expected": {func(t testing.TB) {
			given(t).When(withdraw(300)).ThenError(errFunds).ThenState(state{"ada", 100})
		}, nil},
		"nothing given": {func(t testing.TB) {
			eventlogtest.Given(t, &accounts, "a").When(withdraw(0)).Then(withdrawal(0)).ThenState(state{})
		}, nil},
		"nothing happens": {func(t testing.TB) { given(t).When(idle).Then().ThenNothing() }, nil},
		"no when":         {func(t testing.TB) { given(t).Then().ThenNothing() }, nil},
		"the last when": {func(t testing.TB) {
			given(t).When(withdraw(30)).Then(withdrawal(30)).When(withdraw(50)).Then(withdrawal(50)).ThenState(state{"ada", 20})
		}, nil},
		"given more": {func(t testing.TB) {
			given(t).And("a", posted{200}).When(withdraw(300)).Then(withdrawal(300)).ThenState(state{"ada", 0})
		}, nil},
		"several streams": {func(t testing.TB) {
			given(t).And("b", opened{"bob"}).When(transfer(30)).Then(posted{-30}).ThenIn("b", posted{30}).
				ThenState(state{"ada", 70}).ThenStateIn("b", state{"bob", 30})
		}, nil},
		"nothing elsewhere":   {func(t testing.TB) { given(t).When(withdraw(30)).ThenIn("b") }, nil},
		"an error's type":     {func(t testing.TB) { given(t).When(transfer(300)).ThenErrorAs(new(*shortage)) }, nil},
		"something elsewhere": {func(t testing.TB) { given(t).When(transfer(30)).ThenIn("b") }, []string{"then: events of b", "30"}},
		"something":           {func(t testing.TB) { given(t).When(transfer(30)).ThenNothing() }, []string{"then: 2 events, want none", "-30"}},
		"not even nothing":    {func(t testing.TB) { given(t).When(transfer(300)).ThenNothing() }, []string{"when: ", "transfer: 200 short"}},
		"another type":        {func(t testing.TB) { given(t).When(withdraw(300)).ThenErrorAs(new(*shortage)) }, []string{"funds, want a **eventlogtest_test.shortage"}},
		"no error of a type": {func(t testing.TB) { given(t).When(transfer(30)).ThenErrorAs(new(*shortage)) },
			[]string{"error <nil>, want a", "2 events after an error"}},
		"other state elsewhere": {func(t testing.TB) { given(t).ThenStateIn("b", state{"bob", 0}) }, []string{"then: state of b", "bob"}},
		"other content":         {func(t testing.TB) { given(t).When(withdraw(30)).Then(withdrawal(31)) }, []string{"then: events", "-30", "-31"}},
		"other type":            {func(t testing.TB) { given(t).When(withdraw(30)).Then(opened{"ada"}) }, []string{"then: events", "opened"}},
		"other tags":            {func(t testing.TB) { given(t).When(withdraw(30)).Then(posted{-30}) }, []string{"then: events", "withdrawal"}},
		"too few":               {func(t testing.TB) { given(t).When(withdraw(30)).Then() }, []string{"then: events", "-30"}},
		"too many":              {func(t testing.TB) { given(t).When(withdraw(30)).Then(withdrawal(30), withdrawal(30)) }, []string{"then: events"}},
		"other state":           {func(t testing.TB) { given(t).When(withdraw(30)).ThenState(state{"bob", 70}) }, []string{"then: state", "ada", "bob"}},
		"an error":              {func(t testing.TB) { given(t).When(withdraw(300)).Then(withdrawal(300)) }, []string{"when: withdraw 300: funds"}},
		"no error":              {func(t testing.TB) { given(t).When(withdraw(30)).ThenError(errFunds) }, []string{"error <nil>, want funds", "1 events after an error"}},
		"another error": {func(t testing.TB) {
			given(t).When(func(*eventlog.Tx) error { return eventlog.ErrConflict }).ThenError(errFunds)
		}, []string{"want funds"}},
		"what cannot be given": {func(t testing.TB) { eventlogtest.Given(t, &accounts, "$a", opened{"ada"}) }, []string{"given: ", "reserved"}},
		"what cannot follow":   {func(t testing.TB) { given(t).When(withdraw(30)).Then(eventlog.Raw{}) }, []string{"then: ", "empty event type"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watch(c.run).expect(t, c.says...)
		})
	}
}

// A watched is a test that may fail without failing the one that watches it.
type watched struct {
	testing.TB
	failures []string
	cleanups []func()
}

// watch runs fn as a test of its own, with its cleanups.
func watch(fn func(t testing.TB)) *watched {
	w := &watched{}
	done := make(chan struct{})
	go func() { // Fatalf ends the goroutine
		defer close(done)
		fn(w)
	}()
	<-done
	for i := len(w.cleanups) - 1; i >= 0; i-- {
		w.cleanups[i]()
	}
	return w
}

func (w *watched) Helper()           {}
func (w *watched) Cleanup(fn func()) { w.cleanups = append(w.cleanups, fn) }

func (w *watched) Errorf(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *watched) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	runtime.Goexit()
}

func (w *watched) Fatal(args ...any) { w.Fatalf("%s", fmt.Sprint(args...)) }

// expect fails unless the test failed and said all of this; with nothing to
// say, unless it passed.
func (w *watched) expect(t *testing.T, says ...string) {
	t.Helper()
	all := strings.Join(w.failures, "\n")
	if (len(says) == 0) != (len(all) == 0) {
		t.Errorf("it said %q, expected %q", all, says)
	}
	for _, s := range says {
		if !strings.Contains(all, s) {
			t.Errorf("it said %q, expected %q", all, s)
		}
	}
}
