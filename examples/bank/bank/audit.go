package bank

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/rollforward/rollforward/eventlog"
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
	Waiting      int      `json:"waiting"`  // for approval
	Fees         int      `json:"fees"`     // that were kept
	Orders       int      `json:"orders"`
	Executions   int      `json:"executions"` // of orders; each is one of the transfers
	Payments     int      `json:"payments"`
	Sent         int      `json:"sent"`     // payments that the other bank has accepted
	Unsent       int      `json:"unsent"`   // payments that it has not answered yet
	Interest     int      `json:"interest"` // accounts that got any, month by month
	Acknowledged int      `json:"acknowledged"`
	Currencies   []string `json:"currencies"`
	Problems     []string `json:"problems"`
}

// Examine holds the bank against its promises, by what the log's events say:
//
//   - every transfer that was started has ended, as exactly one of completed or
//     refunded, or waits for a person, and its postings are those of its state;
//   - a fee is what the payer's terms said at the debit, and kept if and only if the
//     transfer is completed;
//   - every due date of a standing order has its transfer, one;
//   - a payment is with the other bank, back, or in suspense;
//   - interest was paid once a month, on the right balance, and adds up;
//   - every transfer in acks, ids of starts that were acknowledged, is known;
//   - money is conserved: in every commit, transaction and saga, and so over all
//     accounts of a currency and what waits between debit and credit;
//   - the read model, row by row, equals what a replay of the log gives.
//
// Nothing must change the log meanwhile. An error says that the examination
// could not be made; what it found is in Audit.Problems.
func Examine(ctx context.Context, log *eventlog.Log, m *ReadModel, acks []string, progress func(events int)) (*Audit, error) {
	books, err := Replay(ctx, log, progress)
	if err != nil {
		return nil, err
	}
	e := &examination{Audit: &Audit{Accounts: len(books.Accounts), Transactions: books.Transactions, Postings: books.Postings,
		Orders: len(books.Orders), Executions: books.Executions, Acknowledged: len(acks), Currencies: []string{},
		Problems: append([]string{}, books.Problems...)}, log: log, books: books, held: make(map[string]*big.Int), transfers: make(map[string]transferEnd)}
	for _, part := range []func(context.Context) error{e.examineTransfers, e.examineFees, e.examinePayments, e.examineInterest} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	e.examineOrders()
	e.examineAcks(acks)
	e.strays()
	e.conservation()
	if err := e.readModel(ctx, m); err != nil {
		return nil, err
	}
	return e.Audit, nil
}

// An examination is an Audit in the making.
type examination struct {
	*Audit
	log       *eventlog.Log
	books     *Books
	transfers map[string]transferEnd // by id
	held      map[string]*big.Int    // between debit and credit, of each currency
}

func (e *examination) problem(format string, args ...any) {
	e.Problems = append(e.Problems, fmt.Sprintf(format, args...))
}

// take returns the postings of a saga, and crosses them off.
func (e *examination) take(ref string) []leg {
	legs := e.books.legs[ref]
	delete(e.books.legs, ref)
	return legs
}

// strays are postings of sagas that nobody knows.
func (e *examination) strays() {
	for _, ref := range slices.Sorted(maps.Keys(e.books.legs)) {
		kind, id, _ := strings.Cut(ref, "/")
		e.problem("%s %s was never started and has the postings %v", kind, id, e.books.legs[ref])
	}
}

func (e *examination) examineAcks(acks []string) {
	for _, id := range acks {
		if _, ok := e.transfers[id]; !ok {
			e.problem("transfer %s was acknowledged and is lost", id)
		}
	}
}

// examineOrders looks for executions without a transfer, and dates without execution.
func (e *examination) examineOrders() {
	for _, id := range slices.Sorted(maps.Keys(e.books.executed)) {
		e.problem("transfer %s of a standing order was never started", id)
	}
	for _, stream := range slices.Sorted(maps.Keys(e.books.Orders)) {
		o := e.books.Orders[stream]
		if o.State == Active && o.Next().Time().Before(e.books.end) {
			e.problem("%s is due since %s", stream, o.Next())
		}
	}
}

// conservation sums over all accounts.
func (e *examination) conservation() {
	totals := e.books.Totals()
	for _, currency := range slices.Sorted(maps.Keys(totals)) {
		e.Currencies = append(e.Currencies, currency)
		total := totals[currency]
		if held := e.held[currency]; held != nil {
			total.Add(total, held)
		}
		if total.Sign() != 0 {
			e.problem("the accounts in %s sum to %s", currency, total)
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
