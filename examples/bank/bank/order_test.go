package bank_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
	"github.com/rollforward/rollforward/saga/sagatest"
)

// rent is an order of ada for bob. In a bubble it is the first of January 2000.
func rent(first bank.Date, amount int64) bank.OrderPlaced {
	return bank.OrderPlaced{From: "ada", To: "bob", Currency: "EUR", Amount: amount, First: first, Months: 1}
}

func place(id string, p bank.OrderPlaced) func(*eventlog.Tx) error {
	return func(tx *eventlog.Tx) error { return bank.Place(tx, id, p) }
}

func change(id string, c bank.OrderChanged) func(*eventlog.Tx) error {
	return func(tx *eventlog.Tx) error { return bank.Change(tx, id, c) }
}

func cancel(id string) func(*eventlog.Tx) error {
	return func(tx *eventlog.Tx) error { return bank.Cancel(tx, id) }
}

// executions lists the due dates of an order with what became of their transfers.
func executions(t testing.TB, log *eventlog.Log, id string) (list []string) {
	t.Helper()
	for r, err := range log.Read(context.Background(), eventlog.Query{Stream: "order/" + id, Types: []string{"bank.order_executed"}}) {
		var e bank.OrderExecuted
		if err == nil {
			err = r.Decode(&e)
		}
		if err != nil {
			t.Fatal(err)
		}
		st, err := bank.Transfers.Status(context.Background(), log, bank.OrderTransfer(id, e.Due))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s %s %d", e.Due, st.State, st.Data.Amount))
	}
	return list
}

// TestStandingOrder: whatever goes wrong, each date has its transfer, at its time; that
// one is refused for want of money is recorded, and the next one has its own chance.
func TestStandingOrder(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, bank.Handlers(), nil, func(w *sagatest.World) {
		w.When(open(ada, 250))
		w.When(open(bob, 0))
		w.When(place("rent", rent("2000-01-31", 100)))
		w.When(place("rent", rent("2000-01-31", 100))) // again
		w.Sleep(30*24*time.Hour - time.Hour)
		holds(w, map[string]int64{"ada": 250, "bob": 0})
		w.Sleep(2 * time.Hour)
		holds(w, map[string]int64{"ada": 150, "bob": 100})
		w.Sleep(90 * 24 * time.Hour)
		holds(w, map[string]int64{"ada": 50, "bob": 200})
		w.When(func(tx *eventlog.Tx) error { return bank.Deposit(tx, ada, 1000, "", "wages") })
		w.When(change("rent", bank.OrderChanged{Amount: 110}))
		w.Sleep(31 * 24 * time.Hour)
		w.When(cancel("rent"))
		w.Sleep(100 * 24 * time.Hour)

		want := []string{"2000-01-31 completed 100", "2000-02-29 completed 100", "2000-03-31 compensated 100", "2000-04-30 compensated 100", "2000-05-31 completed 110"}
		if diff := cmp.Diff(want, executions(w, w.EventLog(), "rent")); diff != "" {
			w.Errorf("(-want +got)\n%s", diff)
		}
		if a := clean(w); a.Orders != 1 || a.Executions != 5 || a.Completed != 3 || a.Refused != 2 {
			w.Errorf("%+v", a)
		}
	})
}

// TestOrdersAfterANight: the dates of months in which nobody worked on the log are made
// up for, each once, also when many processes come back at a time.
func TestOrdersAfterANight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		do(t, log, open(ada, 10_000), open(bob, 0), place("rent", rent("2000-01-31", 1)), place("year", func() bank.OrderPlaced {
			p := rent("2000-01-01", 2)
			p.Months = 12
			return p
		}()))
		time.Sleep(400 * 24 * time.Hour)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		for range 4 {
			go func() { ended <- bank.Sagas(log).Run(ctx) }()
		}
		time.Sleep(time.Minute)
		stop()
		for range 4 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		got := executions(t, log, "rent")
		if len(got) != 13 || got[0] != "2000-01-31 completed 1" || got[12] != "2001-01-31 completed 1" {
			t.Errorf("%q", got)
		}
		if got := strings.Join(executions(t, log, "year"), ", "); got != "2000-01-01 completed 2, 2001-01-01 completed 2" {
			t.Error(got)
		}
		if ada, bob := balance(t, log, "ada", "EUR"), balance(t, log, "bob", "EUR"); ada != 10_000-17 || bob != 17 {
			t.Errorf("ada holds %d, bob %d", ada, bob)
		}
	})
}

// TestOrdersAndClocks: wherever the clock goes ahead, by hours or by months at a time,
// nothing is skipped or doubled.
func TestOrdersAndClocks(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, bank.Handlers(), nil, func(w *sagatest.World) {
		w.When(open(ada, 10_000))
		w.When(open(bob, 0))
		w.When(place("rent", rent("2000-01-01", 1)))
		for _, days := range []time.Duration{0, 1, 29, 1, 100, 0, 365} {
			w.Sleep(days*24*time.Hour + time.Hour)
		}
		if a := clean(w); a.Executions != 17 || a.Completed != 17 || balance(w, w.EventLog(), "bob", "EUR") != 17 {
			w.Errorf("%+v", a)
		}
	})
}

// TestOrderRefused: what is no order is refused where it is placed or changed, and
// nothing is written.
func TestOrderRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		with := func(fn func(*bank.OrderPlaced)) bank.OrderPlaced {
			p := rent("2000-01-15", 5)
			fn(&p)
			return p
		}
		do(t, log, place("good", rent("2000-01-15", 5)), place("gone", rent("2000-01-15", 5)), cancel("gone"), place("done", rent("2000-01-01", 5)))
		drain(t, log)
		before := position(t, log)
		for name, c := range map[string]struct {
			do   func(*eventlog.Tx) error
			want error
		}{
			"no amount":          {place("x", with(func(p *bank.OrderPlaced) { p.Amount = 0 })), bank.ErrAmount},
			"no name":            {place("x", with(func(p *bank.OrderPlaced) { p.To = "" })), bank.ErrName},
			"to itself":          {place("x", with(func(p *bank.OrderPlaced) { p.To = "ada" })), bank.ErrSameAccount},
			"no id":              {place("", rent("2000-01-15", 5)), bank.ErrName},
			"a long id":          {place(strings.Repeat("x", 201), rent("2000-01-15", 5)), bank.ErrName},
			"every 0 months":     {place("x", with(func(p *bank.OrderPlaced) { p.Months = 0 })), bank.ErrSchedule},
			"every 121 months":   {place("x", with(func(p *bank.OrderPlaced) { p.Months = 121 })), bank.ErrSchedule},
			"yesterday":          {place("x", rent("1999-12-31", 5)), bank.ErrSchedule},
			"in a century":       {place("x", rent("2099-12-31", 5)), bank.ErrSchedule},
			"no date":            {place("x", rent("2000-02-30", 5)), bank.ErrDate},
			"another of that id": {place("good", rent("2000-01-15", 6)), eventlog.ErrIDReused},
			"once cancelled":     {place("gone", rent("2000-01-15", 6)), eventlog.ErrIDReused},

			"change none":        {change("x", bank.OrderChanged{Amount: 5}), bank.ErrNoOrder},
			"change a cancelled": {change("gone", bank.OrderChanged{Amount: 5}), bank.ErrCancelled},
			"cancel none":        {cancel("x"), bank.ErrNoOrder},
			"cancel twice":       {cancel("gone"), bank.ErrCancelled},
			"to nothing":         {change("good", bank.OrderChanged{Amount: -5}), bank.ErrAmount},
			"to the payer":       {change("good", bank.OrderChanged{To: "ada"}), bank.ErrSameAccount},
			"to the past":        {change("good", bank.OrderChanged{First: "1999-01-01"}), bank.ErrSchedule},
			"to no schedule":     {change("good", bank.OrderChanged{Months: -1}), bank.ErrSchedule},
			"a day twice":        {change("done", bank.OrderChanged{First: "2000-01-01"}), bank.ErrSchedule},

			"its transfers are its own": {bank.Transfer{ID: "order/good/2000-01-15", From: "ada", To: "bob", Currency: "EUR", Amount: 5}.Start, bank.ErrName},
		} {
			if _, err := log.Update(t.Context(), c.do); !errors.Is(err, c.want) {
				t.Errorf("%s: error %v, want %v", name, err, c.want)
			}
		}
		do(t, log, place("good", rent("2000-01-15", 5)))
		if after := position(t, log); after != before {
			t.Errorf("the log moved from %s to %s", before, after)
		}
	})
}

// TestChangedOrder: a change holds for what was not executed yet, and moves the date.
func TestChangedOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		do(t, log, open(ada, 1000), open(bob, 0), place("rent", rent("2000-01-31", 10)))
		step := func(days int, fns ...func(*eventlog.Tx) error) {
			t.Helper()
			time.Sleep(time.Duration(days) * 24 * time.Hour)
			drain(t, log)
			do(t, log, fns...)
		}
		step(10, change("rent", bank.OrderChanged{First: "2000-01-20", Amount: 11})) // on the 11th: sooner
		step(10)                                                                     // 21st
		step(0, change("rent", bank.OrderChanged{First: "2000-03-31"}))              // later
		step(80)                                                                     // 10th of April
		step(0, change("rent", bank.OrderChanged{Months: 3, Amount: 12}))            // every quarter from the 30th of April on
		step(120)                                                                    // 8th of August
		want := []string{"2000-01-20 completed 11", "2000-03-31 completed 11", "2000-04-30 completed 12", "2000-07-30 completed 12"}
		if diff := cmp.Diff(want, executions(t, log, "rent")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		list := []bank.Standing{}
		for o, err := range bank.ListOrders(t.Context(), log) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, o)
		}
		if len(list) != 1 || list[0].Next != "2000-10-30" || list[0].Last != "2000-07-30" || list[0].Outcome != "completed" {
			t.Errorf("%+v", list)
		}
	})
}

// TestCancelRacesDue: a cancel either comes before the execution of a day, or behind it.
func TestCancelRacesDue(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{-time.Millisecond, 0, time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			log := eventlogtest.New(t)
			do(t, log, open(ada, 1000), open(bob, 0), place("rent", rent("2000-01-02", 10)))
			time.Sleep(24*time.Hour - time.Minute)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- bank.Sagas(log).Run(ctx) }()
			time.Sleep(time.Until(bank.Date("2000-01-02").Time()) + after)
			do(t, log, cancel("rent"))
			time.Sleep(10 * time.Second)
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			time.Sleep(90 * 24 * time.Hour)
			drain(t, log)
			got := executions(t, log, "rent")
			if n := len(got); n > 1 || balance(t, log, "bob", "EUR") != int64(10*n) {
				t.Errorf("%q", got)
			}
			o, err := bank.ShowOrder(t.Context(), log, "rent")
			if err != nil || o.State != bank.Cancelled || o.Next != "" {
				t.Errorf("%+v, %v", o, err)
			}
			for i, err := range outbox.Pending(t.Context(), log) {
				t.Errorf("%s is left: %v", i.Type, err)
			}
		})
	}
}

// TestOrderWithTerms: the transfer of an execution is asked for approval and costs a
// fee like any other.
func TestOrderWithTerms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		do(t, log, open(ada, 1000), open(bob, 0), agree(ada, bank.Terms{Limit: 5, Flat: 1}), place("rent", rent("2000-01-01", 10)))
		drain(t, log)
		id := bank.OrderTransfer("rent", "2000-01-01")
		if st, err := bank.Transfers.Status(t.Context(), log, id); err != nil || !bank.Waiting(st) {
			t.Fatalf("%+v, %v", st, err)
		}
		do(t, log, decide(id, true))
		drain(t, log)
		if st, err := bank.Transfers.Status(t.Context(), log, id); err != nil || st.State != saga.Completed || balance(t, log, "ada", "EUR") != 989 {
			t.Fatalf("%+v, %v", st, err)
		}
	})
}
