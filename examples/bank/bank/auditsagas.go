package bank

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/rollforward/rollforward/saga"
)

// What became of the sagas.

// A transferEnd is what fees have to fit to.
type transferEnd struct {
	completed bool
	fee       int64
}

func (t *Transfer) steps() steps { return steps{{{t.from(), -t.Amount}}, {{t.to(), t.Amount}}} }

// examineTransfers holds each transfer's postings against its state.
func (e *examination) examineTransfers(ctx context.Context) error {
	for st, err := range Transfers.Instances(ctx, e.log) {
		if err != nil {
			return fmt.Errorf("transfers: %w", err)
		}
		e.transfer(st)
	}
	e.Transfers = len(e.transfers)
	return nil
}

func (e *examination) transfer(st saga.Status[Transfer]) {
	t := &st.Data
	got, all := e.take(t.ref()), t.steps()
	switch {
	case st.State == saga.Completed:
		e.Completed++
		e.expect(st.Info, got, all.done(2))
		e.terms(t)
	case st.State.Ended() && len(got) == 0 && (st.Refused == "debit" || st.State == saga.Cancelled):
		e.Refunded++
		e.Refused++
	case st.State.Ended():
		e.Refunded++
		e.expect(st.Info, got, all.undone(1))
	case Waiting(st):
		e.Waiting++
		e.hold(t)
		e.expect(st.Info, got, all.done(1))
	default:
		e.problem("transfer %s has not ended: it is %s after %d postings", st.ID, st.State, len(got))
	}
	e.transfers[st.ID] = transferEnd{st.State == saga.Completed, t.Fee}
	e.ordered(t)
}

// expect holds the postings of an instance against what they have to be.
func (e *examination) expect(i saga.Info, got []leg, want steps) {
	if !want.are(got) {
		e.problem("%s %s is %s and has the postings %v, want %v", i.Saga, i.ID, i.State, got, slices.Concat(want...))
	}
}

// hold adds to what waits between debit and credit.
func (e *examination) hold(t *Transfer) {
	if e.held[t.Currency] == nil {
		e.held[t.Currency] = new(big.Int)
	}
	e.held[t.Currency].Add(e.held[t.Currency], big.NewInt(t.Amount))
}

// terms holds a completed transfer against what the payer's terms said.
func (e *examination) terms(t *Transfer) {
	terms := e.books.terms[t.ref()]
	if t.Fee != terms.fee(t.Amount) {
		e.problem("transfer %s costs %d, by the terms of %s %d", t.ID, t.Fee, t.from(), terms.fee(t.Amount))
	}
	if terms.asks(t.Amount) && (t.Decision == nil || !t.Decision.Approved) {
		e.problem("transfer %s is above the limit of %s and nobody approved it", t.ID, t.from())
	}
}

// ordered holds a transfer against the standing order that it may belong to.
func (e *examination) ordered(t *Transfer) {
	want, ok := e.books.executed[t.ID]
	delete(e.books.executed, t.ID)
	switch {
	case ok && (want.From != t.From || want.To != t.To || want.Currency != t.Currency || want.Amount != t.Amount):
		e.problem("transfer %s is %v, its order says %v", t.ID, *t, *want)
	case !ok && isOrderTransfer(t.ID):
		e.problem("transfer %s belongs to no execution of an order", t.ID)
	}
}

// examineFees holds each fee against its transfer.
func (e *examination) examineFees(ctx context.Context) error {
	kept := make(map[string]bool)
	for st, err := range Fees.Instances(ctx, e.log) {
		if err != nil {
			return fmt.Errorf("fees: %w", err)
		}
		f := &st.Data
		got := e.take(f.ref())
		all := steps{{{f.payer(), -f.Amount}}, {{FeeIncome(f.Currency), f.Amount}}}
		switch t := e.transfers[f.Transfer]; {
		case st.State == saga.Completed && t.completed && t.fee == f.Amount:
			e.Fees++
			kept[f.Transfer] = true
			e.expect(st.Info, got, all.done(2))
		case st.State == saga.Completed || !st.State.Ended():
			e.problem("fee %s of %d is %s, its transfer has the fee %d and completed: %t", st.ID, f.Amount, st.State, t.fee, t.completed)
		case !all.wentBack(got, 2):
			e.problem("fee %s is %s and has the postings %v", st.ID, st.State, got)
		}
	}
	for id, t := range e.transfers {
		if t.completed && t.fee > 0 && !kept[id] {
			e.problem("transfer %s is completed without its fee of %d", id, t.fee)
		}
	}
	return nil
}

// examinePayments holds each payment's postings against its state.
func (e *examination) examinePayments(ctx context.Context) error {
	for st, err := range Payments.Instances(ctx, e.log) {
		if err != nil {
			return fmt.Errorf("payments: %w", err)
		}
		e.Payments++
		p := &st.Data
		got := e.take(p.ref())
		all := steps{moved(p.from(), Suspense(p.Currency), p.Amount), moved(Suspense(p.Currency), OtherBanks(p.Currency), p.Amount)}
		switch {
		case st.State == saga.Completed:
			e.Sent++
			e.expect(st.Info, got, all.done(2))
		case st.State.Ended() && !all.wentBack(got, 1):
			e.problem("payment %s is %s and has the postings %v", st.ID, st.State, got)
		case st.State.Ended():
		case st.State == saga.Running && st.Step == "send":
			e.Unsent++
			e.expect(st.Info, got, all.done(1))
		default:
			e.problem("payment %s has not ended: it is %s after %d postings", st.ID, st.State, len(got))
		}
	}
	return nil
}
