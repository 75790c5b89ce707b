package bank

import (
	"context"
	"fmt"

	"github.com/rollforward/rollforward/saga"
)

// examineInterest holds the interest of each month against that of its accounts, and
// that of each account against its balance.
func (e *examination) examineInterest(ctx context.Context) error {
	sums := make(map[string]*Interest) // what the accounts say
	looked := make(map[string]bool)    // at an account in a month, by the reference of its postings
	for st, err := range Accruals.Instances(ctx, e.log) {
		if err != nil {
			return fmt.Errorf("interest: %w", err)
		}
		looked[st.Data.ref()] = true
		e.accrual(st, sums)
	}
	for st, err := range InterestRuns.Instances(ctx, e.log) {
		if err != nil {
			return fmt.Errorf("interest: %w", err)
		}
		e.interest(st, sums[st.ID])
		delete(sums, st.ID)
		for id, f := range e.books.Accounts {
			a := Accrual{Account: escape(id.Name), Currency: id.Currency, Month: st.Data.Month}
			if st.State == saga.Completed && id.Currency == st.Data.Currency && f.Kind == Customer && f.born.Before(st.Started) && !looked[a.ref()] {
				e.problem("interest %s leaves %s out", st.ID, id)
			}
		}
	}
	for id := range sums {
		e.problem("interest %s was never started and has accounts", id)
	}
	return nil
}

// accrual holds the interest of an account against its postings and its balance, and
// adds it to its month's.
func (e *examination) accrual(st saga.Status[Accrual], sums map[string]*Interest) {
	a := &st.Data
	got := e.take(a.ref())
	id, _ := ParseStream(a.stream())
	all := steps{moved(InterestPaid(a.Currency), id, a.Amount)}
	if a.Amount == 0 {
		all[0] = nil
	}
	run := Interest{Month: a.Month, Currency: a.Currency}
	if sums[run.ID()] == nil {
		sums[run.ID()] = new(Interest)
	}
	switch {
	case st.State == saga.Completed:
		e.expect(st.Info, got, all.done(1))
		_ = add(sums[run.ID()], "", *a)
		if want := monthly(e.books.bases[a.ref()], a.Rate); a.Amount > 0 && a.Amount != want {
			e.problem("the interest of %s on %s is %d, want %d", a.Month, id, a.Amount, want)
		}
	case !st.State.Ended():
		e.problem("interest %s has not ended: it is %s", st.ID, st.State)
	case !all.wentBack(got, 1):
		e.problem("interest %s is %s and has the postings %v", st.ID, st.State, got)
	}
}

// interest holds a month's interest against the sum of its accounts.
func (e *examination) interest(st saga.Status[Interest], sum *Interest) {
	if sum == nil {
		sum = new(Interest)
	}
	i := &st.Data
	switch {
	case !st.State.Ended():
		e.problem("interest %s has not ended: it is %s", st.ID, st.State)
	case st.State == saga.Completed && (i.Accounts != sum.Accounts || i.Paid != sum.Paid || i.Refused != sum.Refused || i.Sum != sum.Sum):
		e.problem("interest %s is %+v, its accounts say %+v", st.ID, *i, *sum)
	case st.State != saga.Completed && sum.Accounts > 0:
		e.problem("interest %s is %s and %d accounts keep theirs", st.ID, st.State, sum.Accounts)
	default:
		e.Interest += sum.Paid
	}
}
