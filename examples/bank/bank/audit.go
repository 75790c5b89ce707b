package bank

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/saga"
)

// Audit is what an examination of the whole bank found.
type Audit struct {
	Accounts     int      `json:"accounts"`
	Transactions int      `json:"transactions"` // of imported books
	Postings     int      `json:"postings"`
	Transfers    int      `json:"transfers"`
	Completed    int      `json:"completed"`
	Refunded     int      `json:"refunded"` // with those refused before any money moved
	Refused      int      `json:"refused"`  // before any money moved
	Acknowledged int      `json:"acknowledged"`
	Currencies   []string `json:"currencies"`
	Problems     []string `json:"problems"`
}

// Examine holds the bank against its promises, by what the log's events say:
//
//   - every transfer that was started has ended, as exactly one of completed or
//     refunded, and its postings are those of its end;
//   - every transfer in acks, ids of starts that were acknowledged, is known;
//   - money is conserved: in every commit, transaction and transfer, and so over
//     all accounts of a currency;
//   - the read model, row by row, equals what a replay of the log gives.
//
// Nothing must change the log meanwhile. An error says that the examination
// could not be made; what it found is in Audit.Problems.
func Examine(ctx context.Context, log *eventlog.Log, m *ReadModel, acks []string, progress func(events int)) (*Audit, error) {
	books, err := Replay(ctx, log, progress)
	if err != nil {
		return nil, err
	}
	a := &Audit{Accounts: len(books.Accounts), Transactions: books.Transactions, Postings: books.Postings,
		Acknowledged: len(acks), Currencies: []string{}, Problems: append([]string{}, books.Problems...)}
	if err := a.transfers(ctx, log, books, acks); err != nil {
		return nil, err
	}
	a.conservation(books)
	if err := a.readModel(ctx, m, books); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Audit) problem(format string, args ...any) {
	a.Problems = append(a.Problems, fmt.Sprintf(format, args...))
}

// transfers holds each transfer's postings against its end.
func (a *Audit) transfers(ctx context.Context, log *eventlog.Log, books *Books, acks []string) error {
	started := make(map[string]bool)
	for st, err := range Transfers.Instances(ctx, log) {
		if err != nil {
			return fmt.Errorf("transfers: %w", err)
		}
		started[st.ID] = true
		want, ended := a.end(st)
		switch got := books.legs[st.ID]; {
		case !ended:
			a.problem("transfer %s has not ended: it is %s after %d postings", st.ID, st.State, len(got))
		case !slices.Equal(got, want):
			a.problem("transfer %s is %s and has the postings %v, want %v", st.ID, st.State, got, want)
		}
		delete(books.legs, st.ID)
	}
	a.Transfers = len(started)
	for _, id := range slices.Sorted(maps.Keys(books.legs)) {
		a.problem("transfer %s was never started and has the postings %v", id, books.legs[id])
	}
	for _, id := range acks {
		if !started[id] {
			a.problem("transfer %s was acknowledged and is lost", id)
		}
	}
	return nil
}

// end returns the postings that a transfer must have by its end.
func (a *Audit) end(st saga.Status[Transfer]) (want []leg, ended bool) {
	t := &st.Data
	debit := leg{t.from(), -t.Amount}
	switch {
	case st.State == saga.Completed:
		a.Completed++
		return []leg{debit, {t.to(), t.Amount}}, true
	case st.State == saga.Compensated && st.Refused == Transfers.Steps[0].Name:
		a.Refunded++
		a.Refused++
		return nil, true
	case st.State == saga.Compensated:
		a.Refunded++
		return []leg{debit, {t.from(), t.Amount}}, true
	}
	return nil, false
}

// conservation sums over all accounts.
func (a *Audit) conservation(books *Books) {
	totals := books.Totals()
	for _, currency := range slices.Sorted(maps.Keys(totals)) {
		a.Currencies = append(a.Currencies, currency)
		if total := totals[currency]; total.Sign() != 0 {
			a.problem("the accounts in %s sum to %s", currency, total)
		}
	}
}

// Totals returns the sum of all balances of each currency.
func (b *Books) Totals() map[string]*big.Int {
	totals := make(map[string]*big.Int)
	for id, f := range b.Accounts {
		if totals[id.Currency] == nil {
			totals[id.Currency] = new(big.Int)
		}
		totals[id.Currency].Add(totals[id.Currency], big.NewInt(f.Balance))
	}
	return totals
}

// readModel holds every row against the replay.
func (a *Audit) readModel(ctx context.Context, m *ReadModel, books *Books) error {
	seen := make(map[AccountID]bool)
	for b, err := range m.Balances(ctx) {
		if err != nil {
			return fmt.Errorf("read model: %w", err)
		}
		id := AccountID{b.Account, b.Currency}
		seen[id] = true
		switch f := books.Accounts[id]; {
		case f == nil:
			a.problem("%s is in the read model and not in the log", id)
		case f.Account != Account{b.Kind, b.State, b.Cents}:
			a.problem("%s is %v in the read model and %v in the log", id, Account{b.Kind, b.State, b.Cents}, f.Account)
		}
	}
	for id := range books.Accounts {
		if !seen[id] {
			a.problem("%s is in the log and not in the read model", id)
		}
	}
	return a.statements(ctx, m, books)
}

func (a *Audit) statements(ctx context.Context, m *ReadModel, books *Books) error {
	type statement struct {
		lines int
		print Fingerprint
	}
	have := make(map[AccountID]statement)
	for l, err := range m.Lines(ctx) {
		if err != nil {
			return fmt.Errorf("read model: %w", err)
		}
		id := AccountID{l.Account, l.Currency}
		s := have[id]
		have[id] = statement{s.lines + 1, s.print.add(l)}
	}
	for id, f := range books.Accounts {
		s := have[id]
		if s != (statement{f.Lines, f.Print}) {
			a.problem("the statement of %s has %d lines in the read model, not the %d of the log", id, s.lines, f.Lines)
		}
		delete(have, id)
	}
	for id := range have {
		a.problem("the read model has a statement of %s and the log no account", id)
	}
	return nil
}
