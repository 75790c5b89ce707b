package saga_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
)

// only picks the handlers whose types end like one of these.
func only(all []outbox.Handler, ends ...string) []outbox.Handler {
	return slices.DeleteFunc(slices.Clone(all), func(h outbox.Handler) bool {
		return !slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(h.Type, end) })
	})
}

// leftovers fails when a step waits or is dead.
func leftovers(t testing.TB, l *eventlog.Log) {
	t.Helper()
	for i, err := range outbox.Pending(context.Background(), l) {
		t.Errorf("pending: %s for %s: %s (%v)", i.Type, i.Target, i.Err, err)
	}
	for i, err := range outbox.Dead(context.Background(), l) {
		t.Errorf("dead: %s for %s: %s (%v)", i.Type, i.Target, i.Err, err)
	}
}

// A stopTest is a wish to stop a step of a transfer, and how the transfer then ends.
type stopTest struct {
	step   string // under way when it is stopped
	define func(*saga.Saga[Transfer])
	send   outbox.Step
	won    saga.State // when the step is done first
	lost   saga.State // when it is not
}

var stopTests = map[string]stopTest{
	"cancel the first": {"debit", nil, saga.Cancel{Saga: "transfer", ID: "1", By: "ann"}, saga.Cancelled, saga.Cancelled},
	"cancel the last":  {"credit", nil, saga.Cancel{Saga: "transfer", ID: "1", By: "ann"}, saga.Completed, saga.Cancelled},
	"skip the first":   {"debit", nil, saga.Skip{Saga: "transfer", ID: "1", Reason: "r"}, saga.Completed, saga.Completed},
	"skip the last":    {"credit", nil, saga.Skip{Saga: "transfer", ID: "1", Reason: "r"}, saga.Completed, saga.Completed},
	"deadline in the first": {"debit", func(s *saga.Saga[Transfer]) { s.Deadline = time.Hour }, nil,
		saga.Compensated, saga.Compensated},
	"deadline in the last": {"credit", func(s *saga.Saga[Transfer]) { s.Deadline = time.Hour }, nil,
		saga.Completed, saga.Compensated},
	"timeout of the first": {"debit", func(s *saga.Saga[Transfer]) { s.Steps[0].Timeout = time.Hour }, nil,
		saga.Completed, saga.Compensated},
	"timeout of the last": {"credit", func(s *saga.Saga[Transfer]) { s.Steps[1].Timeout = time.Hour }, nil,
		saga.Completed, saga.Compensated},
	"timeout with a way out": {"debit", func(s *saga.Saga[Transfer]) { s.Steps[0].Timeout, s.Steps[0].OnTimeout = time.Hour, saga.End }, nil,
		saga.Completed, saga.Completed},
}

// TestStopRacesDo: whatever wants to stop a step under way, and in whatever order
// the step, the request, its handling and the answers come, either the step was done,
// and then it counts, or it never is; money is neither lost nor made.
func TestStopRacesDo(t *testing.T) {
	t.Parallel()
	for name, test := range stopTests {
		// What happens after the step was sent: "do" it, "ask" the instance to stop, "take"
		// the step back, or let the instance hear the "reply". All the rest comes behind.
		for _, order := range []string{
			"do", "ask take", "ask do take", "ask take do", "do ask take", "ask", "do ask reply take", "ask do reply take", "ask take reply do",
		} {
			t.Run(name+"/"+order, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { test.run(t, strings.Fields(order)) })
			})
		}
	}
}

func (test *stopTest) run(t *testing.T, order []string) {
	s := transfer
	s.Steps = slices.Clone(transfer.Steps)
	if test.define != nil {
		test.define(&s)
	}
	l := eventlogtest.New(t)
	open(t, l, "account/a", 100)
	open(t, l, "account/b", 0)
	start(t, l, &s, "1", Transfer{"account/a", "account/b", 70})
	all := s.Handlers()
	target := "account/a"
	if test.step == "credit" {
		target = "account/b"
		drain(t, l, only(all, "debit/do", "reply")...)
	}
	time.Sleep(2 * time.Hour)
	if test.send != nil {
		send(t, l, test.send)
	}
	words := map[string][]string{"do": {test.step + "/do"}, "ask": {"cancel", "skip", "timer"}, "take": {"stop"}, "reply": {"reply"}}
	before := len(postings(t, l, target))
	taken := false
	for _, word := range order {
		if word == "take" && len(postings(t, l, target)) == before {
			taken = true
		}
		drain(t, l, only(all, words[word]...)...)
	}
	if len(order) == 1 { // what comes first when all the rest comes at once is open
		taken = len(postings(t, l, target)) == before
	}
	drain(t, l, all...)
	test.check(t, l, &s, taken, order)
}

func (test *stopTest) check(t *testing.T, l *eventlog.Log, s *saga.Saga[Transfer], taken bool, order []string) {
	t.Helper()
	st := status(t, l, s, "1")
	a, b := sum(postings(t, l, "account/a")), sum(postings(t, l, "account/b"))
	want := test.won
	if taken {
		want = test.lost
	}
	if len(order) > 1 && st.State != want || !st.State.Ended() {
		t.Errorf("it is %s (%v), want %s", st.State, st.Err, want)
	}
	debited, credited := slices.Contains(st.Done, "debit"), slices.Contains(st.Done, "credit")
	if debited != (a == 30) || credited != (b == 70) || a != 30 && a != 100 || b != 0 && b != 70 {
		t.Errorf("done: %v, but there are %d and %d", st.Done, a, b)
	}
	if st.State != saga.Completed && len(st.Done) > 0 {
		t.Errorf("it is %s and has still done %v", st.State, st.Done)
	}
	leftovers(t, l)
}

func sum(list []int64) (n int64) {
	for _, x := range list {
		n += x
	}
	return n
}
