package bank_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
	"github.com/rollforward/rollforward/internal/race"
	"github.com/rollforward/rollforward/outbox"
	"github.com/rollforward/rollforward/saga"
	"github.com/rollforward/rollforward/saga/sagatest"
)

// january is the interest of the month in which a bubble begins.
func january(rate int64) bank.Interest {
	return bank.Interest{Month: "2000-01", Currency: "EUR", Rate: rate}
}

func interestOf(t testing.TB, log *eventlog.Log) saga.Status[bank.Interest] {
	t.Helper()
	i := january(0)
	st, err := bank.InterestRuns.Status(context.Background(), log, i.ID())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// TestInterestOfManyAccounts: ten thousand accounts get theirs, each once, and the sum is
// in the books. Again it changes nothing.
func TestInterestOfManyAccounts(t *testing.T) {
	t.Parallel()
	accounts := 10_000
	if race.Enabled {
		accounts = 1_000
	}
	log := eventlogtest.New(t)
	month := bank.DateOf(log.Now())[:len("2006-01")] + "-01"
	want := int64(0)
	do(t, log, func(tx *eventlog.Tx) error { return bank.Open(tx, cash, bank.Ledger) })
	for first := 0; first < accounts; first += 500 {
		do(t, log, func(tx *eventlog.Tx) error {
			sum := int64(0)
			for n := first; n < first+500; n++ {
				id := bank.AccountID{Name: fmt.Sprintf("%05d", n), Currency: "EUR"}
				if err := tx.Append(id.Stream(), customer, bank.Posted{Amount: int64(n + 1), Date: month.AddMonths(-1)}); err != nil {
					return err
				}
				sum += int64(n + 1)
			}
			return tx.Append(cash.Stream(), posted(-sum))
		})
	}
	for n := range int64(accounts) {
		twelfths := (n + 1) * 300 // of a hundred-twenty-thousandth
		q, r := twelfths/120_000, twelfths%120_000
		if r > 60_000 || r == 60_000 && q%2 == 1 {
			q++
		}
		want += q
	}
	run := bank.Interest{Month: month.AddMonths(-1).Month(), Currency: "EUR", Rate: 300}
	do(t, log, run.Start)
	drain(t, log)
	st, err := bank.InterestRuns.Status(t.Context(), log, run.ID())
	if err != nil || st.State != saga.Completed || st.Data.Accounts < accounts+1 || st.Data.Sum != want || st.Data.Refused != 0 { // and cash
		t.Errorf("%+v, %v; want the sum %d", st, err, want)
	}
	if got := balance(t, log, bank.InterestPaid("").Name, "EUR"); got != -want {
		t.Errorf("the bank paid %d, want %d", -got, want)
	}
	before := position(t, log)
	do(t, log, run.Start)
	drain(t, log)
	if after := position(t, log); after != before {
		t.Errorf("the second time the log moved from %s to %s", before, after)
	}
	m := readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db"))
	if a := examine(t, log, m); len(a.Problems) > 0 || a.Interest != st.Data.Paid || a.Interest < accounts/2 {
		t.Errorf("%+v", a)
	}
}

// TestInterest: whatever goes wrong, and whenever it is paid: who had money at the end of
// the month gets interest on it, once.
func TestInterest(t *testing.T) {
	t.Parallel()
	sagatest.Run(t, bank.Handlers(), nil, func(w *sagatest.World) {
		carl := bank.AccountID{Name: "{carl}/100%", Currency: "EUR"}
		for _, id := range []bank.AccountID{ada, bob, carl, {Name: "usd", Currency: "USD"}, {Name: "frozen", Currency: "EUR"}} {
			w.When(open(id, 120_000))
		}
		w.When(open(bank.AccountID{Name: "poor", Currency: "EUR"}, 0))
		w.When(func(tx *eventlog.Tx) error {
			return bank.Open(tx, bank.AccountID{Name: "books", Currency: "EUR"}, bank.Ledger)
		})
		w.When(on(bank.Freeze, bank.AccountID{Name: "frozen", Currency: "EUR"}))
		w.Sleep(31*24*time.Hour + time.Minute)
		w.When(pay("february", "bob", 60_000).Start)
		w.When(func(tx *eventlog.Tx) error { return bank.Deposit(tx, ada, 12_000, "2000-01-31", "was forgotten") })
		w.When(january(100).Start)
		w.When(january(100).Start)
		st := sagatest.Ended(w, &bank.InterestRuns, "2000-01/EUR", saga.Completed)
		if i := st.Data; i.Paid != 3 || i.Refused != 1 || i.Sum != 110+100+100 || i.Accounts < 7 {
			w.Errorf("%+v", i)
		}
		holds(w, map[string]int64{"ada": 72_110, "bob": 180_100, carl.Name: 120_100, "frozen": 120_000, "poor": 0, "Bank:Interest": -310})
		if a := clean(w); a.Interest != 3 {
			w.Errorf("%+v", a)
		}
	})
}

// TestInterestRounds: half to even.
func TestInterestRounds(t *testing.T) {
	t.Parallel()
	for balance, want := range map[int64]int64{1: 0, 599: 0, 600: 0, 601: 1, 1200: 1, 1799: 1, 1800: 2, 1801: 2, 3000: 2, 3001: 3, math.MaxInt64 / 2: math.MaxInt64 / 2 / 1200} {
		synctest.Test(t, func(t *testing.T) {
			log := eventlogtest.New(t)
			do(t, log, open(ada, balance))
			time.Sleep(31 * 24 * time.Hour)
			do(t, log, january(100).Start)
			drain(t, log)
			if st := interestOf(t, log); st.Data.Sum < want || st.Data.Sum > want+1 || balance < 1_000_000 && st.Data.Sum != want {
				t.Errorf("the interest on %d is %d, want %d", balance, st.Data.Sum, want)
			}
		})
	}
}

// TestInterestPassesOver: accounts that take no money do not keep others from theirs.
func TestInterestPassesOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		closed := bank.AccountID{Name: "closed", Currency: "EUR"}
		do(t, log, open(ada, 1200), open(closed, 1200))
		do(t, log, func(tx *eventlog.Tx) error { // full, and a stream that is no account
			return errors.Join(bank.Open(tx, bob, bank.Customer), tx.Append(bob.Stream(), posted(math.MaxInt64)),
				tx.Append("account/EUR/%zz", customer), tx.Append("account/EUR/a/b", customer))
		})
		time.Sleep(31 * 24 * time.Hour)
		do(t, log, func(tx *eventlog.Tx) error { return bank.Withdraw(tx, closed, 1200, "", "") }, on(bank.Close, closed))
		do(t, log, january(100).Start)
		drain(t, log)
		if st := interestOf(t, log); st.State != saga.Completed || st.Data.Paid != 1 || st.Data.Refused != 2 || st.Data.Sum != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestInterestGoesOn: stopped at any place, it goes on there.
func TestInterestGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		for n := range 600 {
			do(t, log, open(bank.AccountID{Name: fmt.Sprint(n), Currency: "EUR"}, 1200))
		}
		time.Sleep(31 * 24 * time.Hour)
		do(t, log, january(100).Start)
		lives := 0
		for ; interestOf(t, log).State != saga.Completed; lives++ {
			ctx, stop := context.WithTimeout(t.Context(), time.Minute) // when it has ended before
			r := bank.Sagas(log)
			r.AtOnce = 8
			var seen atomic.Int64
			r.Hooks.Batch = func(outbox.BatchInfo) {
				if seen.Add(1) == int64(2+lives%3) {
					stop()
				}
			}
			if err := r.Run(ctx); err != nil {
				t.Fatal(err)
			}
			stop()
			do(t, log, january(100).Start)
		}
		if lives < 4 {
			t.Errorf("it took %d lives: this shows little", lives)
		}
		if st := interestOf(t, log); st.Data.Paid != 600 || st.Data.Sum != 600 || balance(t, log, "Bank:Interest", "EUR") != -600 {
			t.Errorf("%+v", st.Data)
		}
	})
}

// TestCancelledInterest: what was paid is taken back; from who has spent it, it cannot be,
// and the run is parked until it can.
func TestCancelledInterest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		do(t, log, open(ada, 1200), open(bob, 1200))
		time.Sleep(31 * 24 * time.Hour)
		do(t, log, january(100).Start)
		// All but the last word to the parent.
		r := bank.Sagas(log)
		r.Handlers = slices.DeleteFunc(r.Handlers, func(h outbox.Handler) bool { return strings.HasSuffix(h.Type, "interest/child") })
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		do(t, log, func(tx *eventlog.Tx) error { return bank.Withdraw(tx, bob, 1201, "", "") })
		send := func(s outbox.Step) { do(t, log, func(tx *eventlog.Tx) error { return outbox.Enqueue(tx, s) }) }
		send(saga.Cancel{Saga: "interest", ID: "2000-01/EUR", By: "ann", Reason: "the wrong rate"})
		drain(t, log)
		if st := interestOf(t, log); st.State.Ended() || balance(t, log, "ada", "EUR") != 1200 {
			t.Errorf("%+v", st)
		}
		parked := 0
		for st, err := range bank.Accruals.Instances(t.Context(), log) {
			if err != nil {
				t.Fatal(err)
			}
			if st.State == saga.Parked {
				parked++
				do(t, log, func(tx *eventlog.Tx) error { return bank.Deposit(tx, bob, 1, "", "") })
				send(saga.Retry{Saga: "accrual", ID: st.ID, By: "ann"})
			}
		}
		drain(t, log)
		if st := interestOf(t, log); st.State != saga.Cancelled || parked != 1 || balance(t, log, "bob", "EUR") != 0 || balance(t, log, "Bank:Interest", "EUR") != 0 {
			t.Errorf("%+v, %d were parked", st, parked)
		}
		if a := examine(t, log, readModel(t, log, filepath.Join(t.TempDir(), "readmodel.db"))); len(a.Problems) > 0 {
			t.Errorf("problems: %q", a.Problems)
		}
	})
}

func TestInterestRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := eventlogtest.New(t)
		time.Sleep(31*24*time.Hour - time.Second)
		for i, want := range map[bank.Interest]error{
			january(100): bank.ErrDate, // not over yet
			{Month: "2000-13", Currency: "EUR", Rate: 1}:      bank.ErrDate,
			{Month: "1999-12", Rate: 1}:                       bank.ErrName,
			{Month: "1999-12", Currency: "EUR", Rate: -1}:     bank.ErrRate,
			{Month: "1999-12", Currency: "EUR", Rate: 10_001}: bank.ErrRate,
		} {
			if _, err := log.Update(t.Context(), i.Start); !errors.Is(err, want) {
				t.Errorf("%+v: %v, want %v", i, err, want)
			}
		}
		time.Sleep(time.Second)
		do(t, log, january(100).Start)
		if _, err := log.Update(t.Context(), january(101).Start); !errors.Is(err, eventlog.ErrIDReused) {
			t.Errorf("another rate: %v", err)
		}
		drain(t, log)
		if st := interestOf(t, log); st.State != saga.Completed || st.Data.Accounts != 0 {
			t.Errorf("without accounts: %+v", st)
		}
	})
}
