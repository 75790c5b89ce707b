package sagatest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/memlog"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
	"github.com/rollforward/rollforward/saga/sagatest"
)

// passes runs what a test of a program would do; go test does this for you.
func passes(test func(t *testing.T)) bool {
	all := func(string, string) (bool, error) { return true, nil }
	return testing.RunTests(all, []testing.InternalTest{{Name: "Test", F: test}})
}

func ExampleRun() {
	test := func(t *testing.T) {
		sagatest.Run(t, transfer.Handlers(), nil, func(w *sagatest.World) {
			w.Given("account/a", Opened{}, Posted{100})
			w.Given("account/b", Opened{})
			w.When(func(tx *eventlog.Tx) error {
				return transfer.Start(tx, "1", Transfer{"account/a", "account/b", 70})
			})
			w.Then("account/a", Opened{}, Posted{100}, Posted{-70})
			w.Then("account/b", Opened{}, Posted{70})
			sagatest.Ended(w, &transfer, "1", saga.Completed)
		})
	}
	fmt.Println(passes(test)) // without faults, and with those of ten seeds
	// Output: true
}

type Ask struct{ Answer string }

// ask waits a day for an answer.
var ask = saga.Saga[Ask]{Name: "ask", Version: 1, Steps: saga.Steps[Ask]{{
	Name:    "answer",
	Signal:  saga.On("answer", func(a *Ask, answer string) error { a.Answer = answer; return nil }),
	Timeout: 24 * time.Hour,
}}}

func ExampleWorld() {
	test := func(t *testing.T) {
		sagatest.Run(t, ask.Handlers(), nil, func(w *sagatest.World) {
			w.When(func(tx *eventlog.Tx) error { return ask.Start(tx, "1", Ask{}) })
			w.When(func(tx *eventlog.Tx) error { return ask.Start(tx, "2", Ask{}) })
			w.Sleep(23 * time.Hour) // takes no time
			w.Send(saga.Signal{Saga: "ask", ID: "1", Name: "answer", Data: "yes"})
			w.Sleep(2 * time.Hour)
			if st := sagatest.Ended(w, &ask, "1", saga.Completed); st.Data.Answer != "yes" {
				w.Errorf("the answer is %q", st.Data.Answer)
			}
			sagatest.Ended(w, &ask, "2", saga.Compensated)
		})
	}
	fmt.Println(passes(test))
	// Output: true
}

func ExampleOptions() {
	test := func(t *testing.T) {
		o := &sagatest.Options{Seeds: 3, Processes: 3, Crash: 0.05, Repeat: 0.3, Delay: 0.3}
		sagatest.Run(t, ask.Handlers(), o, func(w *sagatest.World) {
			w.Send(saga.Signal{Saga: "ask", ID: "1", Name: "answer", Data: "yes"}) // before it is asked
			w.When(func(tx *eventlog.Tx) error { return ask.Start(tx, "1", Ask{}) })
			sagatest.Ended(w, &ask, "1", saga.Completed)
		})
	}
	fmt.Println(passes(test))
	// Output: true
}

func ExampleReplay() {
	ctx := context.Background()
	log, err := eventlog.Open(ctx, memlog.Open(), nil) // a program's test imports an export
	if err != nil {
		panic(err)
	}
	defer log.Close()
	if _, err := log.Update(ctx, func(tx *eventlog.Tx) error { return ask.Start(tx, "1", Ask{}) }); err != nil {
		panic(err)
	}
	if err := (&outbox.Runner{Log: log, Handlers: ask.Handlers()}).Drain(ctx); err != nil {
		panic(err)
	}
	fmt.Println(passes(func(t *testing.T) { sagatest.Replay(t, log, &ask) }))
	// Output: true
}
