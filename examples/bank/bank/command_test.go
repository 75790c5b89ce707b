package bank_test

import (
	"errors"
	"math"
	"testing"

	"github.com/rollforward/rollforward/eventlog"
	"github.com/rollforward/rollforward/eventlog/eventlogtest"
	"github.com/rollforward/rollforward/examples/bank/bank"
)

var (
	ada  = bank.AccountID{Name: "ada", Currency: "EUR"}
	bob  = bank.AccountID{Name: "bob", Currency: "EUR"}
	cash = bank.Cash("EUR")

	customer = bank.AccountOpened{Kind: bank.Customer}
	ledger   = bank.AccountOpened{Kind: bank.Ledger}
)

func posted(amount int64) bank.Posted { return bank.Posted{Amount: amount} }

// given is what happened to ada's account.
func given(t *testing.T, events ...eventlog.Event) *eventlogtest.Scenario[bank.Account] {
	t.Helper()
	t.Parallel()
	return eventlogtest.Given(t, &bank.Accounts, ada.Stream(), events...)
}

func TestOpen(t *testing.T) {
	given(t).
		When(func(tx *eventlog.Tx) error { return bank.Open(tx, ada, bank.Customer) }).
		Then(customer).
		ThenState(bank.Account{Kind: bank.Customer, State: bank.Opened})
}

func TestOpenTwice(t *testing.T) {
	given(t, customer, bank.AccountClosed{}).
		When(func(tx *eventlog.Tx) error { return bank.Open(tx, ada, bank.Customer) }).
		ThenError(bank.ErrExists)
}

func TestDeposit(t *testing.T) {
	given(t, customer).
		When(func(tx *eventlog.Tx) error { return bank.Deposit(tx, ada, 500, "", "wages") }).
		Then(bank.Posted{Amount: 500, Description: "wages"}).
		ThenState(bank.Account{Kind: bank.Customer, State: bank.Opened, Balance: 500})
}

func TestDepositTakesFromCash(t *testing.T) {
	t.Parallel()
	eventlogtest.Given(t, &bank.Accounts, cash.Stream()).
		When(func(tx *eventlog.Tx) error {
			if err := bank.Open(tx, ada, bank.Customer); err != nil {
				return err
			}
			if err := bank.Deposit(tx, ada, 500, "", ""); err != nil {
				return err
			}
			return bank.Withdraw(tx, ada, 200, "", "")
		}).
		Then(ledger, posted(-500), posted(200))
}

func TestWithdraw(t *testing.T) {
	given(t, customer, posted(500)).
		When(func(tx *eventlog.Tx) error { return bank.Withdraw(tx, ada, 500, "", "") }).
		Then(posted(-500))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	deposit := func(tx *eventlog.Tx) error { return bank.Deposit(tx, ada, 1, "", "") }
	withdraw := func(tx *eventlog.Tx) error { return bank.Withdraw(tx, ada, 1, "", "") }
	frozen, closed := bank.AccountFrozen{}, bank.AccountClosed{}
	for name, c := range map[string]struct {
		given []eventlog.Event
		when  func(tx *eventlog.Tx) error
		want  error
	}{
		"deposit to nobody":             {nil, deposit, bank.ErrNoAccount},
		"deposit to a frozen account":   {[]eventlog.Event{customer, frozen}, deposit, bank.ErrFrozen},
		"deposit to a closed account":   {[]eventlog.Event{customer, closed}, deposit, bank.ErrClosed},
		"withdraw what is not there":    {[]eventlog.Event{customer}, withdraw, bank.ErrFunds},
		"withdraw from a frozen one":    {[]eventlog.Event{customer, posted(5), frozen}, withdraw, bank.ErrFrozen},
		"a balance of more than 64 bit": {[]eventlog.Event{customer, posted(math.MaxInt64)}, deposit, bank.ErrOverflow},
		"a negative one":                {[]eventlog.Event{ledger, posted(math.MinInt64)}, withdraw, bank.ErrOverflow},
		"nothing": {[]eventlog.Event{customer}, func(tx *eventlog.Tx) error {
			return bank.Deposit(tx, ada, 0, "", "")
		}, bank.ErrAmount},
		"a negative amount": {[]eventlog.Event{customer, posted(5)}, func(tx *eventlog.Tx) error {
			return bank.Withdraw(tx, ada, -5, "", "")
		}, bank.ErrAmount},
		"an empty name": {nil, func(tx *eventlog.Tx) error {
			return bank.Open(tx, bank.AccountID{Currency: "EUR"}, bank.Customer)
		}, bank.ErrName},
		"a name with a control character": {nil, func(tx *eventlog.Tx) error {
			return bank.Open(tx, bank.AccountID{Name: "a\nb", Currency: "EUR"}, bank.Customer)
		}, bank.ErrName},
		"the bank's own account": {nil, func(tx *eventlog.Tx) error {
			return bank.Open(tx, cash, bank.Customer)
		}, bank.ErrName},
		"cash to cash": {nil, func(tx *eventlog.Tx) error {
			return bank.Deposit(tx, cash, 5, "", "")
		}, bank.ErrSameAccount},
		"close an account with money": {[]eventlog.Event{customer, posted(5)}, func(tx *eventlog.Tx) error {
			return bank.Close(tx, ada)
		}, bank.ErrNotEmpty},
		"close a frozen account": {[]eventlog.Event{customer, frozen}, func(tx *eventlog.Tx) error {
			return bank.Close(tx, ada)
		}, bank.ErrFrozen},
		"freeze a frozen account": {[]eventlog.Event{customer, frozen}, func(tx *eventlog.Tx) error {
			return bank.Freeze(tx, ada)
		}, bank.ErrFrozen},
		"thaw one that is not frozen": {[]eventlog.Event{customer}, func(tx *eventlog.Tx) error {
			return bank.Thaw(tx, ada)
		}, bank.ErrNotFrozen},
	} {
		t.Run(name, func(t *testing.T) {
			given(t, c.given...).When(c.when).ThenError(c.want)
			if !bank.Refused(c.want) {
				t.Errorf("%v is not a refusal", c.want)
			}
		})
	}
	if bank.Refused(errors.New("disk")) || bank.Refused(nil) {
		t.Error("anything is a refusal")
	}
}

func TestLedgerAccountsGoBelowZero(t *testing.T) {
	given(t, ledger).
		When(func(tx *eventlog.Tx) error { return bank.Withdraw(tx, ada, 7, "", "") }).
		Then(posted(-7))
}

func TestFreezeThawClose(t *testing.T) {
	given(t, customer).
		When(func(tx *eventlog.Tx) error {
			return errors.Join(bank.Freeze(tx, ada), bank.Thaw(tx, ada), bank.Close(tx, ada))
		}).
		Then(bank.AccountFrozen{}, bank.AccountThawed{}, bank.AccountClosed{}).
		ThenState(bank.Account{Kind: bank.Customer, State: bank.Closed})
}
